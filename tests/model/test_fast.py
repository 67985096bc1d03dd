"""The fast copy says what the model says."""

import pytest
import torch
from torch import nn

from ctran.methods import linear
from ctran.methods._anchored import Anchored
from ctran.model import Backbone, CTran, fast

STATES = torch.tensor([[0, 1, 2, 0, 0, 2, 0]] * 3)


def unsettled(backbone: Backbone) -> Backbone:
    """With statistics and scales other than those of a fresh batch norm."""
    generator = torch.Generator().manual_seed(1)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in ((module.running_mean, -0.2, 0.2), (module.running_var, 0.5, 2.0)):
                tensor.copy_(low + (high - low) * torch.rand(tensor.shape, generator=generator))
            module.weight.data.copy_(0.5 + torch.rand(module.weight.shape, generator=generator))
            module.bias.data.copy_(torch.rand(module.bias.shape, generator=generator) - 0.5)
    return backbone.eval()


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext", "test_vit"])
@torch.no_grad()
def test_folding_removes_every_batch_norm_and_changes_nothing(name):
    backbone = unsettled(Backbone(name))
    size = backbone.built_with.get("img_size", 160)
    images = torch.rand(2, 3, size, size)
    folded = fast.fold(backbone, images)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    other = torch.rand(2, 3, size, size)
    assert torch.allclose(folded(other).tokens, backbone(other).tokens, atol=1e-4, rtol=1e-4)


def test_a_network_that_needs_large_pictures_has_a_fast_copy(labels):
    model = linear.build(linear.Config(backbone="inception_v3", image_size=299), labels).eval()
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fast.fast(model).modules())


def test_a_fast_copy_refuses_states_of_other_labels(images):
    model = fast.fast(CTran(Backbone("test_resnet"), num_labels=7, token_dim=8, num_heads=2, num_layers=1))
    for count in (1, 5, 8):
        with pytest.raises(ValueError, match=f"expected states of 7 labels, got {count}"):
            model.predict_labels(model.encode_images(images), torch.zeros(len(images), count, dtype=torch.long))


def test_folding_leaves_the_backbone_itself_alone(images):
    backbone = unsettled(Backbone("test_resnet"))
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    fast.fold(backbone, images)
    after = backbone.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(t, after[n]) for n, t in before.items())


class Twice(nn.Module):
    """A network in which a convolution's output is used beside its batch norm's."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward_features(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.conv(images)
        return self.norm(maps) + maps


@torch.no_grad()
def test_a_network_that_cannot_be_folded_stays_as_it_is(images):
    backbone = Backbone("test_resnet")
    backbone.network, backbone.channels = Twice(), 4
    unsettled(backbone)
    assert fast.fold(backbone, images) is backbone


@pytest.mark.parametrize("scheme", ["full", "image_first", "latent"])
@torch.no_grad()
def test_a_fast_model_predicts_the_same_up_to_rounding(images, scheme):
    model = Anchored(
        unsettled(Backbone("test_resnet")),
        num_labels=7,
        token_dim=16,
        num_heads=2,
        soft_states=True,
        positive_bias=2.0,
        attention=scheme,
    ).eval()
    quick = fast.fast(model)
    assert {p.dtype for p in quick.encoder.parameters()} == {torch.bfloat16}
    exact = fast.fast(model, dtype=torch.float32)
    logits = model(images, STATES)
    assert torch.allclose(exact(images, STATES), logits, atol=1e-4)
    said = quick(images, STATES)
    assert said.dtype == torch.float32 and torch.allclose(said, logits, atol=0.1)
    assert torch.allclose(exact.predict_labels(exact.prepare(exact.encode_images(images[:1])), STATES), logits[:1], atol=1e-4)
    features = quick.prepare(quick.encode_images(images[:1]))
    assert torch.allclose(quick.predict_labels(features, STATES), said[:1].expand(3, -1), atol=0.05)


@torch.no_grad()
def test_every_method_has_a_fast_copy(images, labels):
    model = linear.build(linear.Config("test_resnet", image_size=64), labels).eval()
    assert torch.allclose(fast.fast(model)(images, STATES), model(images, STATES), atol=0.05)


@pytest.mark.parametrize("scheme", ["full", "image_first", "latent"])
@torch.no_grad()
def test_label_tokens_of_a_fast_model_come_from_a_table(images, scheme):
    model = CTran(Backbone("test_resnet"), num_labels=7, token_dim=16, num_heads=2, attention=scheme).eval()
    exact = fast.fast(model, dtype=torch.float32)
    assert exact.table is not None and model.table is None
    started = []
    exact.encoder.norm.register_forward_hook(lambda *_: started.append(1))
    features = exact.prepare(exact.encode_images(images))
    before = len(started)
    states = torch.randint(0, 3, (6, 7))
    logits = exact.predict_labels(features, states)
    assert len(started) - before == (scheme == "latent")  # latents alone
    assert torch.allclose(logits, model.predict_labels(model.encode_images(images), states), atol=1e-4)
    assert not [name for name in exact.state_dict() if name.startswith(("table", "unconditional"))]
