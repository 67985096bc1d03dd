"""What every published data set must do, tried on its miniature; and the cache, counts and hold-out that they share."""

import dataclasses
import shutil
from importlib import import_module
from pathlib import Path

import pytest
import torch

from ctran import registry
from ctran.data import origins, sources
from ctran.data.table import DataError
from ctran.labels import LabelState
from tests.data import miniatures

NAMES = registry.names(miniatures)
ORIGIN = origins.Origin("example.org/data", "1 GB", "CC BY 4.0", ("pictures/", "labels.csv"), "Register first.")


def miniature(name: str, root: Path):
    """Source module and the config of a miniature freshly made in ``root``."""
    options = import_module(f"tests.data.miniatures.{name}").make(root)
    source = registry.find(sources, name)
    return source, source.Config(root=root, **options)


@pytest.fixture(scope="module", params=NAMES)
def built(request, tmp_path_factory):
    """Source module, config and tables of one miniature, built twice."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CTRAN_CACHE", str(tmp_path_factory.mktemp("cache")))
        source, config = miniature(request.param, tmp_path_factory.mktemp(request.param))
        yield source, config, source.build(config), source.build(config)


def test_every_published_data_set_has_a_miniature():
    published = [name for name in registry.names(sources) if hasattr(registry.find(sources, name), "ORIGIN")]
    assert sorted(published) == NAMES and len(NAMES) == 7


def test_it_says_where_it_is_from(built):
    source = built[0]
    text = str(source.ORIGIN)
    assert "licence" in text and "expected below --root" in text and source.ORIGIN.layout
    assert ("get it from" in text) != ("not public" in text)


def test_splits_are_disjoint_and_over_one_label_space(built):
    tables = built[2]
    assert list(tables) == ["train", "val", "test"]
    ids = [i for t in tables.values() for i in t.ids]
    assert len(set(ids)) == len(ids)
    assert len({t.labels for t in tables.values()}) == 1


def test_pictures_open_and_truth_has_both_answers(built):
    for table in built[2].values():
        assert table.picture(0).size[0] > 1
        codes = set(table.truth.dense().unique().tolist())
        assert {int(LabelState.NEGATIVE), int(LabelState.POSITIVE)} <= codes
    built[2]["train"].check_learnable()


def test_a_second_start_reads_the_same_from_the_cache(built):
    _, _, first, second = built
    for split, table in first.items():
        again = second[split]
        assert again.ids == table.ids and again.labels == table.labels and torch.equal(again.truth.dense(), table.truth.dense())
        assert again.rows["image"][0] == table.rows["image"][0] and again.absent == table.absent


def test_the_test_set_may_choose_the_epoch_as_the_authors_did(built):
    source, config, tables, _ = built
    theirs = source.build(dataclasses.replace(config, select_on="test"))
    assert theirs["val"].ids == theirs["test"].ids == tables["test"].ids
    if tables["val"].ids[0] in theirs["train"].ids:
        assert set(theirs["train"].ids) == set(tables["train"].ids) | set(tables["val"].ids)
    else:  # a validation split of its own
        assert len(theirs["train"]) == len(tables["train"])


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_folder_says_what_was_looked_for_and_where_it_is_from(name, tmp_path):
    source, config = miniature(name, tmp_path / "full")
    with pytest.raises(DataError) as error:
        source.build(dataclasses.replace(config, root=tmp_path / "empty"))
    message = str(error.value)
    assert str(tmp_path / "empty") in message and "expected below --root" in message and source.ORIGIN.layout[0] in message


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_that_moved_is_read_anew(name, tmp_path):
    options = import_module(f"tests.data.miniatures.{name}").make(tmp_path / "here")
    source = registry.find(sources, name)
    before = source.build(source.Config(root=tmp_path / "here", **options))["test"]
    size = before.picture(0).size
    shutil.move(tmp_path / "here", tmp_path / "there")
    moved = {k: tmp_path / "there" / v.relative_to(tmp_path / "here") if isinstance(v, Path) else v for k, v in options.items()}
    after = source.build(source.Config(root=tmp_path / "there", **moved))["test"]
    assert after.ids == before.ids and after.picture(0).size == size
