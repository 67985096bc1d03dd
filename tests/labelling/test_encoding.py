"""A folder is encoded once: by the studio, and training takes what is there."""

import pytest
import torch

from ctran.data.picture_features import PictureFeatures
from ctran.errors import UserError
from ctran.labelling.encoding import Encoder
from ctran.model import Features
from ctran.training import stored_features
from ctran.training.pipeline import prepare
from ctran.training.recipe import read_recipe
from ctran.training.recipe_files import find_recipe
from tests.serving.test_folder_api import SMALL

ONE_VIEW = ["--training.feature_views", "1", "--training.augmentation", "none"]


def recipe_of(folder):
    return read_recipe(find_recipe("quick"), [*SMALL, *ONE_VIEW, "--root", str(folder), "--absent", "negative"])


def encoded(folder):
    encoder = Encoder(recipe_of(folder), folder, sorted(path.name for path in folder.glob("*.png")), "cpu")
    encoder.start()
    encoder._thread.join()
    assert encoder.finished and not encoder.problem
    return encoder


def test_training_takes_the_features_of_the_studio_and_gets_what_it_would_compute(folder, monkeypatch):
    (folder / "broken.png").write_bytes(b"no picture")
    expected = prepare(recipe_of(folder)).train.dataset.cache.arrays["tokens"].copy()
    encoder = encoded(folder)
    assert set(encoder.broken) == {"broken.png"} and len(encoder.vectors) == 30
    encoder.close()

    def computed(*given):
        raise AssertionError("a picture is encoded again")

    monkeypatch.setattr(stored_features, "encoded", computed)
    (folder / "metadata.csv").write_text((folder / "metadata.csv").read_text() + "\n")
    for path in sorted(folder.glob("*.png")):
        path.touch()  # the table is another one: what was kept of it does not count
    found = prepare(recipe_of(folder)).train.dataset.cache.arrays["tokens"]
    assert torch.equal(torch.from_numpy(found.copy()), torch.from_numpy(expected)) or found == pytest.approx(expected, abs=2e-3)


def test_a_folder_that_was_encoded_is_there_at_once(folder, monkeypatch):
    first = encoded(folder)
    names = first.names[:3]
    features = first.features(names)
    first.close()
    again = Encoder(recipe_of(folder), folder, first.names, "cpu")
    monkeypatch.setattr(again.tagger, "square", None)  # no picture is opened
    again._run()
    assert not again.problem and torch.equal(again.features(names).tokens, features.tokens)
    assert torch.equal(again.vectors[names[0]], first.vectors[names[0]])
    again.close()


def test_a_recipe_that_trains_its_backbone_is_refused(folder):
    flags = [*SMALL, "--training.feature_views", "0", "--training.backbone_learning_rate", "0.1"]
    recipe = read_recipe(find_recipe("quick"), [*flags, "--root", str(folder), "--absent", "negative"])
    with pytest.raises(UserError, match="frozen backbone"):
        Encoder(recipe, folder, [])


def test_features_come_back_in_the_order_that_is_asked_for_or_not_at_all(tmp_path, generator):
    store = PictureFeatures(tmp_path / "a.sqlite", {"tokens": (4, 3), "maps.x": (2, 2, 2)}, (2, 2))
    tokens, maps = torch.randn(3, 4, 3, generator=generator).half().float(), torch.randn(3, 2, 2, 2).half().float()
    store.put(["a", "b", "c"], Features(tokens, (2, 2), maps={"x": maps}))
    found = store.read(["c", "a"])
    assert torch.equal(found.tokens, tokens[[2, 0]]) and torch.equal(found.maps["x"], maps[[2, 0]]) and found.grid == (2, 2)
    assert store.read(["c", "d"]) is None and store.have(["a", "d"]) == {"a"}
    assert torch.allclose(store.means(["b"])["b"], tokens[1].mean(dim=0), atol=2e-3)
    store.close()


def test_a_damaged_file_says_what_to_do(tmp_path):
    (tmp_path / "a.sqlite").write_bytes(b"x" * 4096)
    with pytest.raises(UserError, match="delete it"):
        PictureFeatures(tmp_path / "a.sqlite", {"tokens": (1, 1)}, (1, 1))
