"""Checkpoints of the released code: the same logits, and nothing else let in."""

import re
import zipfile
from copy import deepcopy

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from ctran.labels import Group, LabelSpace
from ctran.methods.ctran import Config, build
from ctran.model import Features
from ctran.model.pretrained import WeightsError
from ctran.paper import checkpoints as authors
from ctran.paper.released_models import COCO, CUB
from tests.model.released_code import DIM, NUM_LABELS, SIZE, ReleasedModel, assert_same_logits, flat, logged, released

KINDS = {"coco": COCO, "cub": CUB}


def converted(weights, **options):
    checkpoint = authors.understand(weights)
    config = Config(backbone=checkpoint.kind.backbone, num_layers=checkpoint.num_layers, **options)
    with torch.device("meta"):
        model = build(config, LabelSpace(checkpoint.kind.label_names(checkpoint.num_labels))).eval()
    checkpoint.fill(model)
    return model


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def pair(kind):
    oracle = released(kind)
    return oracle, converted(oracle.state_dict())


@pytest.fixture
def inputs(kind, generator):
    images = torch.randn(4, 3, SIZE[kind], SIZE[kind], generator=generator)
    mask = torch.tensor([[-1, -1, -1, -1, -1], [0, 1, -1, 1, 0], [1, 1, 1, -1, -1], [-1, 0, 0, 0, 1]])
    return images, mask


@torch.no_grad()
def test_logits_are_those_of_the_released_forward_pass_in_all_three_states(pair, inputs):
    oracle, model = pair
    images, mask = inputs
    theirs = oracle(images, mask)
    assert_same_logits(model(images, mask + 1), theirs)
    unknown = oracle(images, torch.full_like(mask, -1))
    assert_same_logits(model(images, torch.zeros_like(mask)), unknown)
    assert (theirs - unknown)[1:].abs().max() > 0.1 * theirs.abs().max()  # states do matter to it


@torch.no_grad()
def test_what_little_differs_is_rounding(pair, inputs):
    oracle, model = (deepcopy(m).double() for m in pair)
    images, mask = inputs[0][:3].double(), inputs[1][:3]
    assert_same_logits(model(images, mask + 1), oracle(images, mask), 1e-10)


@torch.no_grad()
def test_a_model_trained_without_label_masks_adds_no_state(pair, inputs):
    oracle, (images, mask) = pair[0], inputs
    model = converted(oracle.state_dict(), use_states=False)
    assert_same_logits(model(images, mask + 1), oracle(images, mask, use_lmt=False))
    assert torch.equal(model.labels.unknown, torch.zeros(1, DIM))


@torch.no_grad()
def test_the_number_of_heads_is_the_users(pair, inputs):
    with torch.device("meta"):
        oracle = ReleasedModel(pair[0].kind, heads=8).eval()
    oracle.load_state_dict(pair[0].state_dict(), assign=True)
    images, mask = inputs
    assert_same_logits(converted(oracle.state_dict(), num_heads=8)(images, mask + 1), oracle(images, mask))


def test_no_tensor_is_changed_and_none_is_lost(pair):
    oracle, model = pair
    theirs, ours = oracle.state_dict(), model.state_dict()
    used = set()
    for name, tensor in ours.items():
        if name not in authors.ROWS:
            assert torch.equal(tensor, theirs[authors.released_name(name)]), name
            used.add(authors.released_name(name))
    assert theirs.keys() - used == {authors.STATES, *authors.understand(theirs).kind.unused}
    assert torch.equal(model.labels.unknown, theirs[authors.STATES][:1])
    assert torch.equal(model.labels.known_state, theirs[authors.STATES][1:])


def test_training_does_not_move_the_row_of_unknown(pair):
    model = deepcopy(pair[1]).train()
    before = {name: t.clone() for name, t in model.labels.state_dict().items()}
    optimiser = torch.optim.SGD(model.parameters(), lr=1.0, weight_decay=0.1)
    features = Features(torch.ones(2, 4, DIM), (2, 2))
    model.predict_labels(features, torch.tensor([[0, 1, 2, 0, 1]] * 2)).sum().backward()
    optimiser.step()
    moved = {name for name, t in model.labels.state_dict().items() if not torch.equal(t, before[name])}
    assert moved == {"label.weight", "known_state"}


def test_the_prefix_of_data_parallel_does_not_matter(kind):
    weights = flat(kind, num_labels=3, num_layers=2)
    checkpoint = authors.understand({f"module.{name}": t for name, t in weights.items()})
    assert checkpoint.weights.keys() == weights.keys()
    assert (checkpoint.kind, checkpoint.num_labels, checkpoint.num_layers, checkpoint.dim) == (KINDS[kind], 3, 2, DIM)


@pytest.mark.parametrize(
    ("kind", "shape", "kept", "mean", "std"),
    [
        ("coco", (640, 640), np.s_[32:608, 32:608], (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("cub", (379, 403), np.s_[40:339, 52:351], [0.5] * 3, [2] * 3),
    ],
)
def test_pictures_are_cut_and_normalised_as_in_the_released_code(kind, shape, kept, mean, std, rng):
    pixels = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    expected = (pixels[kept] / 255.0 - np.array(mean)) / np.array(std)
    assert np.allclose(KINDS[kind].preprocessing(Image.fromarray(pixels)).numpy(), expected.transpose(2, 0, 1), atol=1e-5)


def test_only_cub_has_an_order_of_labels_that_is_known():
    assert CUB.label_names(312)[111:113] == ("attribute 111", "class 000")
    assert CUB.label_names(3) == COCO.label_names(3) == ("label 000", "label 001", "label 002")


def test_names_of_cub_with_the_classes_first_are_refused():
    classes, attributes = [tuple(f"{kind} {i}" for i in range(n)) for kind, n in (("class", 200), ("attribute", 112))]
    group = Group("class", classes, exclusive=True)
    CUB.check_order(LabelSpace(attributes + classes, groups=(group,)))
    with pytest.raises(ValueError, match="112 attributes, then 200 classes, but group 'class' starts at position 0"):
        CUB.check_order(LabelSpace(classes + attributes, groups=(group,)))


LAYER = "self_attn_layers.0.transformer_layer"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"LayerNorm.bias": None}, r"has a tensor LayerNorm.bias of shape \(2048,\), which is not in the file \(1 missing"),
        (
            {"extra.weight": (3, 4)},
            r"the file has a tensor extra.weight of shape \(3, 4\), which the released .* does not have",
        ),
        ({f"{LAYER}.linear1.weight": (512, DIM)}, r"linear1.weight: expected shape \(2048, 2048\), found \(512, 2048\)"),
        ({"known_label_lt.weight": (2, DIM)}, r"known_label_lt.weight: expected shape \(3, 2048\), found \(2, 2048\)"),
        ({"label_lt.weight": (NUM_LABELS, 512)}, r"label_lt.weight: expected shape \(5, 2048\), found \(5, 512\)"),
        ({"output_linear.bias": (4,)}, r"output_linear.bias: expected shape \(5,\), found \(4,\)"),
        ({"label_lt.weight": (NUM_LABELS,)}, r"expected label_lt.weight of shape \(labels, 2048\), found \(5,\)"),
        ({"label_lt.weight": None}, r"expected label_lt.weight of shape \(labels, 2048\), found none"),
        ({"self_attn_layers.2.x": (1,)}, r"expected self_attn_layers.0 and so on without a gap, found numbers \[0, 2\]"),
        ({"backbone.base_network.conv1.weight": None}, "expected exactly one of .*conv1.weight and .*Conv2d_1a.* found 0"),
        ({"backbone.base_network.Conv2d_1a_3x3.conv.weight": (1,)}, "expected exactly one of .* found 2"),
        ({"LayerNorm.weight": float("nan")}, "LayerNorm.weight holds values that are not finite"),
    ],
)
def test_what_the_released_code_cannot_have_written_is_refused_by_name(change, message):
    weights = flat("coco")
    for name, new in change.items():
        if new is None:
            del weights[name]
        elif isinstance(new, float):
            weights[name] = torch.full_like(weights[name], new)
        else:
            weights[name] = torch.zeros(()).expand(new)
    with pytest.raises(WeightsError, match=message):
        converted(weights)


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
def test_figures_that_are_saved_beside_the_weights_do_not_keep_the_file_shut(tmp_path, module):
    """The released code's NumPy calls one module by another name than NumPy 2; so the file is saved and rewritten."""
    torch.save(logged(flat("coco")), tmp_path / "now.pt")
    with zipfile.ZipFile(tmp_path / "now.pt") as now, zipfile.ZipFile(tmp_path / "then.pt", "w") as then:
        for name in now.namelist():
            content = now.read(name)
            if name.endswith("data.pkl"):
                content = re.sub(rb"numpy\._?core\.multiarray", module.encode(), content)
                assert module.encode() in content
            then.writestr(name, content)
    assert authors.read(tmp_path / "then.pt").num_labels == NUM_LABELS


def test_a_bare_state_dict_is_read_too(tmp_path):
    torch.save(flat("cub"), tmp_path / "w.pt")
    assert authors.read(tmp_path / "w.pt").kind is CUB


def test_code_in_the_file_is_not_run(tmp_path):
    torch.save({"state_dict": flat("coco"), "net": nn.Linear(2, 2)}, tmp_path / "w.pt")
    with pytest.raises(
        WeightsError, match=r"w\.pt holds no weights .*: it holds code \(torch.nn.modules.linear.Linear\)"
    ) as caught:
        authors.read(tmp_path / "w.pt")
    assert "weights_only=False" not in str(caught.value) and "\n" not in str(caught.value)


def test_numpy_is_not_let_in_for_anything_else(tmp_path):
    torch.save({"state_dict": flat("coco"), "more": np.zeros(2)}, tmp_path / "w.pt")
    with pytest.raises(WeightsError, match=r"it holds code \(numpy._core.multiarray._reconstruct\)"):
        authors.read(tmp_path / "w.pt")


def test_a_file_that_is_not_there_or_is_something_else_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"none\.pt: no such file"):
        authors.read(tmp_path / "none.pt")
    torch.save({"a": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(WeightsError, match=r"other\.pt: no checkpoint of the released code"):
        authors.read(tmp_path / "other.pt")
