"""Networks that are built for one size, at others: trained, refused by name, or their weights resampled."""

import pytest
import torch
from safetensors.torch import save_file

from ctran.data.feature_cache import FeatureCache
from ctran.data.loading import FeatureSet
from ctran.errors import UserError
from ctran.evaluation.evaluate import features_of
from ctran.labels import LabelSpace
from ctran.model import Backbone, CTran
from ctran.model.image_size import check_image_size
from ctran.model.networks import timm
from ctran.model.pretrained import WeightsError, load_weights
from ctran.training.pipeline import build_tagger, inherit
from ctran.training.recipe import read_recipe
from tests.conftest import TOY
from tests.data.truths import sparse

ALL = [(timm.list_models("test_*"), side) for side in (8, 50, 64, 96)]
"""timm's smallest network of each kind."""


@pytest.mark.parametrize(
    ("names", "side"),
    [(["test_resnet", "test_vit"], 50), *(pytest.param(*each, marks=pytest.mark.slow) for each in ALL)],
    ids=str,
)
def test_every_kind_of_network_works_at_a_size_or_names_the_key_and_one_that_works(names, side):
    for name in names:
        try:
            check_image_size(name, side)
        except UserError as error:
            assert f"model.image_size {side}: {name} does not take pictures of {side} x {side} pixels" in str(error)
            side_that_works = int(str(error).rsplit(" ", 1)[-1])
        else:
            side_that_works = side
        features = Backbone(name, side_that_works).eval()(torch.zeros(1, 3, side_that_works, side_that_works))
        assert features.tokens.shape[1] == features.grid[0] * features.grid[1] > 0, name


@pytest.mark.parametrize("name", ["test_vit", "test_convnext", "xcit_nano_12_p16_224", "tiny_vit_5m_224"])
def test_stored_image_tokens_have_the_grid_of_those_from_the_network(name, tmp_path):
    """Positions follow from the grid: with another one a model would be trained otherwise than it predicts."""
    backbone = Backbone(name, 96).eval()
    with torch.no_grad():
        features = backbone(torch.zeros(2, 3, 96, 96))
    arrays = {name: tuple(tensor.shape[1:]) for name, tensor in features.arrays.items()}
    cache = FeatureCache(tmp_path, (1, 2), arrays, features.grid, {}).build(
        lambda view, numbers: features[torch.tensor(numbers)]
    )
    batch = FeatureSet(cache, sparse([[1, 1]] * 2)).__getitems__([0, 1])
    stored = features_of(CTran(backbone, num_labels=1, token_dim=16, num_heads=2), batch)
    side = features.grid[0]
    assert stored.grid == features.grid == (side, side) and side > 1
    assert torch.allclose(stored.tokens, features.tokens, atol=0.01)


def recipe_of(folder, backbone, side, *flags):
    own = ["--source", "imagefolder", "--root", str(folder), "--absent", "negative"]
    return read_recipe(None, [*TOY, *own, "--model.backbone", backbone, "--model.image_size", str(side), *flags])


def test_a_training_at_a_size_that_the_network_does_not_take_is_refused_before_it_starts(folder):
    with pytest.raises(UserError, match=r"model.image_size 50: test_vit .*divisible by patch size.*set it to 32 or 64 or 160"):
        build_tagger(recipe_of(folder, "test_vit", 50), LabelSpace(("a",)))


def test_a_network_without_the_option_of_a_size_is_not_asked_for_it():
    with pytest.raises(UserError, match="timm has no network 'test_vot'"):
        check_image_size("test_vot", 64)


@pytest.mark.parametrize("name", ["test_vit", "test_vit2", "test_vit3"])
def test_weights_of_a_file_are_resampled_to_the_grid_as_timm_does(tmp_path, name):
    state = timm.create_model(name).state_dict()
    save_file(state, tmp_path / "w.safetensors")
    backbone = Backbone(name, 96)
    load_weights(backbone, f"file:{tmp_path / 'w.safetensors'}")
    overlay = {"file": str(tmp_path / "w.safetensors")}
    theirs = timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, img_size=96, num_classes=0).state_dict()
    ours = backbone.network.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(v, theirs[k]) for k, v in ours.items())


def test_weights_that_cannot_be_resampled_name_the_size(tmp_path):
    save_file(Backbone("test_coatnet", 64).network.state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=r"relative_position_bias_table .*built for 96 px \(model.image_size\)"):
        load_weights(Backbone("test_coatnet", 96), f"file:{tmp_path / 'w.safetensors'}")


def test_fine_tuning_at_another_size_starts_from_resampled_positions(folder):
    labels = LabelSpace(("a", "b"))
    old, new = (build_tagger(recipe_of(folder, "test_vit", side), labels) for side in (64, 96))
    assert inherit(new, old) == []
    position = new.model.backbone.network.pos_embed
    expected = timm.layers.resample_abs_pos_embed(old.model.backbone.network.pos_embed, [6, 6])
    assert torch.equal(position, expected)
    for other in ("cls_token", "norm.weight"):
        one, two = (t.model.backbone.network.get_parameter(other) for t in (old, new))
        assert torch.equal(one, two)


def test_fine_tuning_at_a_size_that_the_weights_do_not_fit_names_both(folder):
    labels = LabelSpace(("a",))
    old, new = (build_tagger(recipe_of(folder, "test_coatnet", side), labels) for side in (64, 96))
    with pytest.raises(UserError, match=r"training.init_from: .*relative_position.* set model.image_size 64, as there"):
        inherit(new, old)
