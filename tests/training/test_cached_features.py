"""The cache of image features that training makes: what its key holds, and that a stale one is refused."""

import json
import shutil

import pytest
from safetensors.torch import save_file

from ctran.data.feature_cache import StaleCacheError
from ctran.model import Backbone
from ctran.training.pipeline import prepare
from ctran.training.recipe import read_recipe
from tests.conftest import TOY

ONE_VIEW = ["--training.feature_views", "1", "--training.augmentation", "none"]


def cache_of(folder, *flags):
    """The training set's, made or found."""
    frozen = ["--training.backbone_learning_rate", "0", "--training.feature_views", "2"]
    source = ["--source", "imagefolder", "--root", str(folder), "--absent", "negative"]
    return prepare(read_recipe(None, [*TOY, *source, *frozen, *flags])).train.dataset.cache


def test_a_cache_says_what_its_tokens_depend_on_and_changes_its_place_with_it(folder):
    cache = cache_of(folder)
    parts = json.loads((cache.folder / "key.json").read_text())
    assert parts.keys() == {
        "backbone",
        "weights",
        "transform",
        "augmentation",
        "data",
        "views",
        "seed",
        "split",
        "precision",
        "layout",
        "arrays",
        "grid",
    }
    assert cache_of(folder).folder == cache.folder
    others = {
        ("augmentation",): ["--training.augmentation", "crop"],
        ("transform", "arrays", "grid"): ["--model.image_size", "32"],
    }
    for changed, flags in others.items():
        other = cache_of(folder, *flags)
        found = json.loads((other.folder / "key.json").read_text())
        assert {name for name in parts if parts[name] != found[name]} == {*changed} and other.folder != cache.folder


def test_networks_of_the_same_weights_do_not_share_a_cache(folder, tmp_path):
    backbone = Backbone("resnet18")
    save_file(backbone.network.state_dict(), tmp_path / "weights.safetensors")
    weights = ["--model.weights", f"file:{tmp_path / 'weights.safetensors'}"]
    plain, blurred = (cache_of(folder, "--model.backbone", name, *weights, *ONE_VIEW) for name in ("resnet18", "resnetblur18"))
    assert plain.folder != blurred.folder


def test_a_cache_of_other_pictures_in_the_place_of_the_right_one_is_refused(folder):
    right, other = cache_of(folder), cache_of(folder, "--training.augmentation", "crop")
    shutil.rmtree(right.folder)
    other.folder.rename(right.folder)
    with pytest.raises(
        StaleCacheError, match=r"features of other augmentation \(there: crop, wanted: flip\): delete .* run again"
    ):
        cache_of(folder)


def test_views_follow_from_the_seed_of_the_recipe_and_the_test_transform_does_not(folder, tmp_path):
    save_file(Backbone("test_resnet").network.state_dict(), tmp_path / "weights.safetensors")  # else they are the seed's too
    weights = ["--model.weights", f"file:{tmp_path / 'weights.safetensors'}"]
    one, other = (cache_of(folder, *weights, *ONE_VIEW, "--seed", seed) for seed in "01")
    assert one.folder == other.folder and "seed" not in json.loads((one.folder / "key.json").read_text())
    views = [*weights, "--training.augmentation", "crop"]
    one, other = (cache_of(folder, *views, "--seed", seed) for seed in "01")
    assert one.folder != other.folder and json.loads((other.folder / "key.json").read_text())["seed"] == 1
    mine, others = one.arrays["tokens"], other.arrays["tokens"]
    assert (mine[0] == others[0]).all() and not (mine[1] == others[1]).all()


def test_augmented_pictures_follow_from_the_seed_of_the_recipe(folder):
    source = ["--source", "imagefolder", "--root", str(folder), "--absent", "negative", "--training.augmentation", "crop"]
    one, again, other = (prepare(read_recipe(None, [*TOY, *source, "--seed", seed])).train.dataset for seed in "001")
    rows = list(range(len(one)))
    first, same, different = (data.__getitems__(rows).inputs for data in (one, again, other))
    assert (first == same).all() and not (first == different).all()
