"""Image tokens with the maps of inner stages."""

import pytest
import torch

from ctran.errors import UserError
from ctran.model import Backbone
from ctran.model.inner_maps import StagedBackbone


def both(name):
    """A network with inner maps in its tokens, and the same without."""
    staged = StagedBackbone(name).eval()
    plain = Backbone(name, maps=staged.stops).eval()
    plain.load_state_dict(staged.state_dict())
    return staged, plain


@torch.no_grad()
@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext"])
def test_tokens_are_those_of_the_network_followed_by_the_average_of_each_map(name):
    staged, plain = both(name)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    found, expected = staged(images), plain(images)
    assert found.maps is None and found.grid == expected.grid and found.tokens.shape[2] == staged.channels
    assert torch.allclose(found.tokens[..., : plain.channels], expected.tokens, atol=1e-5)
    averages = torch.cat([each.mean(dim=(2, 3)) for each in expected.maps.values()], dim=1)
    assert torch.allclose(found.tokens[..., plain.channels :].mean(dim=1), averages, atol=1e-5)
    assert len(expected.maps) >= 3 and not staged.maps


@torch.no_grad()
def test_a_token_has_the_inner_maps_of_its_own_place():
    staged, plain = both("test_resnet")
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    first = next(iter(plain(images).maps.values()))[0]  # (c, 16, 16)
    h, w = staged(images).grid
    tokens = staged(images).tokens[0].unflatten(0, (h, w))
    corner = first[:, : first.shape[1] // h, -(first.shape[2] // w) :].mean(dim=(1, 2))
    assert torch.allclose(tokens[0, -1, plain.channels : plain.channels + len(first)], corner, atol=1e-5)


def test_a_network_without_inner_maps_is_refused_with_the_key_that_helps():
    with pytest.raises(UserError, match=r"test_vit has no maps of inner stages; set model.inner_maps to false"):
        StagedBackbone("test_vit")
