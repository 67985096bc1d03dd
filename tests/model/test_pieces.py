"""Inner maps of a backbone, and going on from one."""

import pytest
import torch

from ctran.errors import UserError
from ctran.model import Backbone

PLACES = {
    "test_resnet": ["layer1", "layer3"],
    "test_efficientnet": ["blocks.1", "blocks.2"],
    "test_convnext": ["stages.1", "stages.2"],
}


@pytest.fixture(params=PLACES)
def backbone(request):
    return Backbone(request.param, maps=PLACES[request.param]).eval()


@torch.no_grad()
def test_maps_are_the_outputs_of_their_modules_and_tokens_stay_as_they_are(backbone, images):
    seen = {}
    for name in backbone.maps:
        backbone.network.get_submodule(name).register_forward_hook(lambda m, i, o, name=name: seen.__setitem__(name, o))
    plain = Backbone(backbone.name).eval()
    plain.load_state_dict(backbone.state_dict())
    features = backbone(images)
    assert list(features.maps) == list(backbone.maps) and all(torch.equal(features.maps[n], seen[n]) for n in seen)
    assert backbone.map_channels == {name: m.shape[1] for name, m in features.maps.items()}
    assert torch.equal(features.tokens, plain(images).tokens) and plain(images).maps is None


@torch.no_grad()
def test_what_follows_a_map_runs_on_other_values_of_it(backbone, images):
    features = backbone(images)
    for name in backbone.maps:
        assert torch.equal(backbone.resume(name, features.maps[name]).tokens, features.tokens)
        other = backbone(images.flip(0))
        assert torch.equal(backbone.resume(name, other.maps[name]).tokens, other.tokens)
    with torch.enable_grad():
        moving = features.maps[backbone.maps[0]].clone().requires_grad_()
        backbone.resume(backbone.maps[0], moving).tokens.sum().backward()
    assert moving.grad.any()


def test_training_moves_the_batch_norms_of_the_network_itself(images):
    backbone = Backbone("test_resnet", maps=["layer3"]).train()
    before = {name: b.clone() for name, b in backbone.named_buffers()}
    backbone(images)
    assert all(not torch.equal(b, before[name]) for name, b in backbone.named_buffers())


def test_a_stride_names_the_module_in_any_network():
    assert Backbone("test_resnet", maps=[8, 16]).maps == ("layer2", "layer3")
    assert Backbone("test_efficientnet", maps=[16]).maps[0].startswith("blocks.")


@pytest.mark.parametrize(
    ("name", "maps", "message"),
    [
        ("test_resnet", ["layer9"], r"backbone test_resnet has no module 'layer9'"),
        ("test_resnet", [3], r"backbone test_resnet has no map of stride 3 \(there are: \[2, 4, 8, 16, 32\]\)"),
        ("test_resnet", ["layer3", "layer2"], "named in the order in which they run"),
        ("test_vit", ["blocks.2"], "backbone test_vit cannot be cut at 'blocks.2'"),
        ("test_resnet", ["layer1.0.conv1"], "cannot be cut at"),
    ],
)
def test_a_network_that_cannot_be_cut_there_is_refused(name, maps, message):
    with pytest.raises(UserError, match=message):
        Backbone(name, maps=maps)
