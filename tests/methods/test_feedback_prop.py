"""Feedback-prop against literal loops over single pictures, and around other methods."""

import pytest
import torch
import torch.nn.functional as F

import ctran
from ctran.errors import UserError
from ctran.methods import feedback_prop
from ctran.training.fit import fit
from ctran.training.pipeline import prepare
from ctran.training.recipe import read_recipe
from ctran.training.task import LabelTask
from tests.conftest import stirred_module
from tests.methods.test_statistics import recipe_of
from tests.methods.training import mean_ap, model_of, pictures, random_truth, train

STATES = torch.tensor([[2, 1, 0, 0], [0, 0, 0, 0], [0, 1, 2, 0]])


def model(*flags, layers="[8, 16]"):
    """Around a linear layer on a small ResNet, whose maps of strides 8 and 16 are those of layer2 and layer3."""
    return stirred_module(model_of("feedback_prop", 4, "--model.image_size", "64", "--model.layers", layers, *flags), 0.5)


@pytest.fixture
def squares():
    return torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(3))


def descend(start, logits_of, states, feedback):
    """Adam on a copy of one picture's activation, until the known labels are explained."""
    moving = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([moving], lr=feedback.rate, weight_decay=feedback.decay)
    for _ in range(feedback.steps):
        optimizer.zero_grad()
        loss = 0.0
        for label, state in enumerate(states.tolist()):
            if state:
                loss = loss + F.binary_cross_entropy_with_logits(logits_of(moving)[0, label], torch.tensor(float(state == 2)))
        moving.grad = torch.autograd.grad(loss, moving)[0]
        optimizer.step()
    return moving.detach()


def plain_logits(net, features):
    return net.classifier(features.tokens.mean(dim=1))


def test_layers_move_in_turn_each_from_those_before(squares):
    net = model("--model.rate", "0.05", "--model.steps", "4")
    with torch.no_grad():
        features = net.encode_images(squares)
        found = net.predict_labels(features, STATES)
    second, third = net.backbone.maps
    for row in (0, 2):
        one, states = features[torch.tensor([row])], STATES[row]
        value = descend(one.maps[second], lambda v: plain_logits(net, net.backbone.resume(second, v)), states, net.feedback)
        with torch.no_grad():
            after = net.backbone.resume(second, value).maps[third]
        value = descend(after, lambda v: plain_logits(net, net.backbone.resume(third, v)), states, net.feedback)
        with torch.no_grad():
            expected = plain_logits(net, net.backbone.resume(third, value))
        assert torch.allclose(found[row], expected[0], atol=1e-3)
        assert not torch.allclose(found[row], plain_logits(net, one)[0], atol=0.05)


def test_residuals_of_several_layers_move_jointly(squares):
    net = model("--model.mode", "residual", "--model.rate", "0.05", "--model.steps", "3")
    with torch.no_grad():
        features = net.encode_images(squares)
        found = net.predict_labels(features, STATES)
    second, third = net.backbone.maps
    one, known = features[torch.tensor([0])], STATES[:1] != 0
    added = [torch.zeros_like(one.maps[name]).requires_grad_() for name in (second, third)]

    def logits():
        inner = net.backbone.resume(second, one.maps[second] + added[0]).maps[third]
        return plain_logits(net, net.backbone.resume(third, inner + added[1]))

    optimizer = torch.optim.Adam(added, lr=0.05, weight_decay=1e-4)
    for _ in range(3):
        each = F.binary_cross_entropy_with_logits(logits(), (STATES[:1] == 2).float(), reduction="none")
        for tensor, gradient in zip(added, torch.autograd.grad((each * known).sum(), added), strict=True):
            tensor.grad = gradient
        optimizer.step()
    assert torch.allclose(found[0], logits()[0].detach(), atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("layers", ["[16]", "[]"])
def test_one_layer_moves_alike_in_both_modes_without_decay(squares, layers):
    flags = ("--model.decay", "0", "--model.rate", "0.05")
    first, second = model(*flags, layers=layers), model(*flags, "--model.mode", "residual", layers=layers)
    second.load_state_dict(first.state_dict())
    features = first.encode_images(squares)
    found = [each.predict_labels(features, STATES) for each in (first, second)]
    assert torch.allclose(*found, atol=2e-3) and not torch.allclose(found[0][0], plain_logits(first, features)[0], atol=0.05)


@torch.no_grad()
@pytest.mark.parametrize("mode", ["layerwise", "residual"])
def test_no_steps_and_no_known_labels_give_the_logits_of_the_method(squares, mode):
    net, still = model("--model.mode", mode), model("--model.mode", mode, "--model.steps", "0")
    still.load_state_dict(net.state_dict())
    features = net.encode_images(squares)
    plain = plain_logits(net, features)
    assert torch.equal(still.predict_labels(features, STATES), plain)
    assert torch.equal(net.predict_labels(features, torch.zeros_like(STATES)), plain)
    assert torch.equal(net.predict_labels(features, STATES)[1], plain[1])


@torch.no_grad()
def test_more_steps_explain_the_known_labels_better_and_leave_the_weights_alone(squares):
    losses = []
    for steps in ("1", "4", "16"):
        net = model("--model.rate", "0.02", "--model.steps", steps, layers="[16]")
        before = {name: value.clone() for name, value in net.state_dict().items()}
        logits = net.predict_labels(net.encode_images(squares), STATES)
        each = F.binary_cross_entropy_with_logits(logits, (STATES == 2).float(), reduction="none")
        losses.append(float((each * (STATES != 0)).sum()))
        assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
        assert all(p.grad is None for p in net.parameters())
    assert losses == sorted(losses, reverse=True)


@torch.no_grad()
def test_a_method_that_uses_known_labels_has_none_of_them_in_the_steps(squares):
    options = "{token_dim: 16, num_layers: 1, num_heads: 2}"
    net = model("--model.method", "ctran", "--model.options", options, "--model.rate", "0.05", layers="[]")
    features, zeros = net.encode_images(squares), torch.zeros_like(STATES)
    seen = []
    net.classifier.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].detach()))
    found = net.predict_labels(features, STATES)
    assert len(seen) == 1 + net.feedback.steps + 1  # as it is, the steps, and the end
    plain = type(net).__mro__[2]
    assert torch.allclose(seen[1], _last_inputs(plain, net, features, zeros)[torch.tensor([0, 2])], atol=1e-4)
    assert not torch.allclose(found[0], plain.predict_labels(net, features, STATES)[0], atol=1e-2)


def _last_inputs(plain, net, features, states):
    """The label tokens that enter the classifier."""
    seen = []
    handle = net.classifier.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    plain.predict_labels(net, features, states)
    handle.remove()
    return seen[0]


@pytest.mark.parametrize(("method", "draws"), [("linear", False), ("ctran", True)])
def test_training_is_that_of_the_method_around_which_it_is(folder, method, draws):
    recipe = recipe_of("feedback_prop", folder, "--model.method", method, "--training.unknown_share", "[0,0.9]")
    parts = prepare(recipe, resume=True)  # resume: for linear the shares have no effect
    task = LabelTask(parts.tagger.model, parts.labels, recipe, parts.tables["val"].ids)
    task.generator = torch.Generator().manual_seed(0)
    batch = next(iter(parts.train))
    assert bool((task._known(batch.truth) != 0).any()) == draws
    net = parts.tagger.model.train()
    features = net.encode_images(batch.images)
    assert net.predict_labels(features, batch.truth).requires_grad


@pytest.mark.usefixtures("unrendered")
def test_it_takes_a_finished_run_of_the_method_without_training(folder, tmp_path):
    fit(recipe_of("linear", folder, "--training.epochs", "1"), tmp_path / "plain")
    flags = ["--method", "feedback_prop", "--training.epochs", "0", "--training.init_from", str(tmp_path / "plain")]
    flags += ["--model.backbone", "test_resnet", "--model.weights", "none", "--model.image_size", "64", "--model.rate", "0.1"]
    data = ["--source", "imagefolder", "--root", str(folder), "--absent", "negative", "--training.accelerator", "cpu"]
    fit(read_recipe(None, [*flags, *data]), tmp_path / "feedback")
    plain, feedback = (ctran.load(tmp_path / name, device="cpu") for name in ("plain", "feedback"))
    picture = folder / "00.png"
    before = plain.predict(picture).probabilities
    assert feedback.predict(picture).probabilities == pytest.approx(before, abs=1e-5)
    assert feedback.predict(picture, {"red": True}).probabilities["blue"] != pytest.approx(before["blue"], abs=1e-3)


def test_the_wrapped_method_learns_32_pictures():
    net, truth = model_of("feedback_prop", 5, "--model.layers", "[]"), random_truth(32, 5)
    features = pictures(32, net.backbone.channels)
    assert mean_ap(train(net, features, truth, steps=150), features, truth) > 0.99


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "feedback_prop"}, "cannot be wrapped in itself"),
        ({"method": "liner"}, "did you mean 'linear'"),
        ({"options": {"poolin": "max"}}, "'linear' has no option 'poolin'; did you mean 'pooling'"),
        ({"options": {"dropout": "much"}}, "model.options: dropout: Expected `float`"),
        ({"options": {"backbone": "resnet18"}}, "has no option 'backbone'"),
        ({"layers": (16, 8)}, "model.layers must rise"),
        ({"inner_maps": True}, "set it to false, or model.layers to"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        feedback_prop.Config(**options)


@pytest.mark.usefixtures("unrendered")
def test_options_of_the_wrapped_method_are_saved_and_stored_features_have_the_maps(folder, tmp_path):
    flags = ["--model.options", "{pooling: mean_max}", "--model.layers", "[8]", "--model.rate", "0.1", "--training.epochs", "1"]
    frozen = ["--training.backbone_learning_rate", "0", "--training.feature_views", "1", "--training.augmentation", "none"]
    recipe = recipe_of("feedback_prop", folder, *flags, *frozen)
    assert prepare(recipe).val.dataset.__getitems__([0]).inputs.maps.keys() == {"layer2"}
    fit(recipe, tmp_path / "run")
    tagger = ctran.load(tmp_path / "run", device="cpu")
    assert tagger.model.classifier.in_features == 2 * tagger.model.backbone.channels
    session = tagger.session(folder / "00.png")
    before = session.predict().probabilities["blue"]
    assert session.tell({"red": True}).predict().probabilities["blue"] != pytest.approx(before, abs=1e-4)
