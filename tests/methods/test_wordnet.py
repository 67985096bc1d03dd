"""Senses, kinds and similarities, from small files in WordNet's format."""

import pytest
import torch

from ctran.errors import UserError
from ctran.labels import LabelSpace, UnknownLabelError
from ctran.methods._word_relations import RELATIONS, relations
from ctran.methods._wordnet import Nouns
from tests.methods.wordnet_files import write

SENSES = {  # first word of a sense -> its words, and what it is a kind (or an instance) of
    "entity": (["entity"], []),
    "object": (["object"], ["entity"]),
    "plant": (["plant", "flora"], ["object"]),
    "factory": (["factory", "plant"], ["object"]),
    "animal": (["animal"], ["object"]),
    "carnivore": (["carnivore"], ["animal"]),
    "pet": (["pet"], ["animal"]),
    "dog": (["dog"], ["carnivore", "pet"]),
    "cat": (["cat"], ["carnivore"]),
    "hot_dog": (["hot_dog"], ["object"]),
    "Rex": (["Rex"], ["dog"]),
    "nothing": (["nothing"], []),
}
ORDER = {"plant": ["factory", "plant"]}
"""Senses of a word by frequency, where there are several."""


@pytest.fixture
def folder(tmp_path):
    """The files of these senses."""
    write(tmp_path, SENSES, ORDER)
    return tmp_path


@pytest.fixture
def nouns(folder):
    return Nouns(folder)


def test_a_name_is_its_first_sense_and_others_are_named_by_number(nouns):
    plant, factory = nouns.sense("flora"), nouns.sense("factory")
    assert nouns.sense("plant") == factory != plant == nouns.sense("plant.n.02")
    assert nouns.sense("Hot dog") == nouns.sense("hot_dog.n.01") is not None
    assert [nouns.sense(name) for name in ("unicorn", "plant.n.03", "plant.n.00", "unicorn.n.01")] == [None] * 4


def test_a_plural_that_is_no_word_is_its_singular(nouns):
    assert nouns.sense("dogs") == nouns.sense("dog") and nouns.sense("factories") == nouns.sense("factory")
    assert nouns.sense("dogs.n.01") is None  # named exactly


def test_ancestors_are_all_kinds_above_with_the_shortest_way_to_them(nouns):
    names = ("Rex", "dog", "carnivore", "pet", "animal", "object", "entity")
    assert nouns.ancestors(nouns.sense("Rex")) == {nouns.sense(n): i for n, i in zip(names, (0, 1, 2, 2, 3, 4, 5), strict=True)}


def test_similarity_is_wu_and_palmer_s(nouns):
    def like(one, other):
        return nouns.similarity(nouns.sense(one), nouns.sense(other))

    assert like("dog", "dog") == 1
    assert like("dog", "cat") == pytest.approx(2 * 4 / (5 + 5))  # carnivore: 4 levels from the root on
    assert like("dog", "Rex") == pytest.approx(2 * 5 / (5 + 6))
    assert like("cat", "hot_dog") == like("hot_dog", "cat") == pytest.approx(2 * 2 / (5 + 3))
    assert like("dog", "nothing") == 0  # without a common root


def test_relations_of_labels_are_kinds_and_similarities(nouns):
    labels = LabelSpace(("cat", "animal", "hot dog", "dog", "it"))
    given = relations(labels, nouns, {"it": "none"}, (0.6, 0.8))
    found = {
        name: {(labels.names[sender], labels.names[to]) for to, sender in each.nonzero().tolist()}
        for name, each in zip(RELATIONS, given, strict=True)
    }
    assert found["super"] == {("animal", "cat"), ("animal", "dog")}
    assert found["sub"] == {("cat", "animal"), ("dog", "animal")}
    assert found["positive"] == {("cat", "dog"), ("dog", "cat")}  # 0.8
    unlike = {("cat", "hot dog"), ("dog", "hot dog")}  # 0.5; an animal and a hot dog have 0.67
    assert found["negative"] == unlike | {(b, a) for a, b in unlike}


def test_relations_without_wordnet_are_the_implications_of_the_labels():
    labels = LabelSpace(("a", "b", "c"), implications=(("a", "b"), ("b", "c")))
    kinds, above, *others = relations(labels, None, {}, (0.1, 0.8))
    assert kinds.nonzero().tolist() == [[0, 1], [0, 2], [1, 2]] and torch.equal(above, kinds.T)
    assert not torch.stack(others).any()


def test_labels_that_are_no_nouns_are_listed(nouns):
    labels = LabelSpace(("cat", "tvmonitor", "stop sign"))
    with pytest.raises(UserError, match=r"WordNet has no noun for tvmonitor, stop sign. Name senses with model.synsets"):
        relations(labels, nouns, {}, (0.1, 0.8))
    with pytest.raises(UserError, match=r"WordNet has no noun for stop sign\."):
        relations(labels, nouns, {"tvmonitor": "plant.n.01", "stop sign": "plant.n.07"}, (0.1, 0.8))
    with pytest.raises(UserError, match=r"WordNet has no noun for w0, .*, w9 and 2 more\."):
        relations(LabelSpace(tuple(f"w{i}" for i in range(12))), nouns, {}, (0.1, 0.8))
    with pytest.raises(UnknownLabelError, match="cta"):
        relations(labels, nouns, {"cta": "cat.n.01"}, (0.1, 0.8))


def test_folders_without_the_files_and_files_that_do_not_match_are_refused(folder):
    text = (folder / "data.noun").read_text()
    (folder / "data.noun").write_text(" " + text)
    nouns = Nouns(folder)
    with pytest.raises(UserError, match=r"data.noun and index.noun of .* do not belong together"):
        nouns.ancestors(nouns.sense("dog"))
    (folder / "data.noun").unlink()
    with pytest.raises(UserError, match=r"has no data.noun; give /usr/share/wordnet"):
        Nouns(folder)
