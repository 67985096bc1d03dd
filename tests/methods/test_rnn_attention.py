"""RNN-Attention: sampling, steps and losses against literal loops."""

import math

import pytest
import torch
import torch.nn.functional as F

from ctran.methods.rnn_attention import anchors, softmax_l2
from ctran.model import Features
from tests.conftest import stirred_module
from tests.methods.training import CRITERION, LargestTensor, mean_ap, model_of, pictures, random_truth, step_of, train

SMALL = ("--model.hidden_dim", "12", "--model.narrow_dim", "8", "--model.region_size", "4")


def model(labels=4, *flags):
    return model_of("rnn_attention", labels, *SMALL, *flags)


def interpolated(maps, x, y):
    """Value of a map at a place, -1 to 1 over its cells' middles; 0 beyond them."""
    height, width = maps.shape[1:]
    column, row = (x + 1) / 2 * (width - 1), (y + 1) / 2 * (height - 1)
    left, top, found = math.floor(column), math.floor(row), torch.zeros(len(maps))
    for i in (top, top + 1):
        for j in (left, left + 1):
            if 0 <= i < height and 0 <= j < width:
                found += (1 - abs(row - i)) * (1 - abs(column - j)) * maps[:, i, j]
    return found


@torch.no_grad()
def test_a_region_is_interpolated_at_its_scale_and_place():
    net, maps = model(), torch.randn(1, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    for box in ([1.0, 1.0, 0.0, 0.0], [0.4, 0.3, 0.5, -0.2], [0.7, 0.6, -0.6, 0.9]):
        found = net.sample(maps, torch.tensor([box]))[0]
        for row in range(4):
            for column in range(4):
                x, y = (box[i] * (-1 + 2 * at / 3) + box[i + 2] for i, at in ((0, column), (1, row)))
                assert torch.allclose(found[:, row, column], interpolated(maps[0], x, y), atol=1e-5)


@torch.no_grad()
def test_logits_are_the_greatest_scores_of_the_regions_after_the_whole_picture():
    net = stirred_module(model(4, "--model.regions", "3"), 0.3)
    features = pictures(2, net.backbone.channels, grid=(3, 4))
    found = net.predict_labels(features, torch.zeros(2, 4, dtype=torch.long))
    for row in range(2):
        maps = net.narrow(features.tokens[row]).T.reshape(1, 8, 3, 4)
        box, state, scores = torch.tensor([[1.0, 1.0, 0.0, 0.0]]), (torch.zeros(1, 12), torch.zeros(1, 12)), []
        for _ in range(4):
            pooled = F.max_pool2d(net.sample(maps, box), 2).reshape(1, -1)
            state = net.cell(F.relu(net.region(pooled)), state)
            z = F.relu(net.out(state[0]))
            scores.append(net.classifier(z)[0])
            box = net.location(z)
        assert torch.allclose(found[row], torch.stack(scores[1:]).amax(dim=0), atol=1e-5)


@torch.no_grad()
def test_the_objective_is_half_the_squared_distance_of_softmax_and_normalised_labels():
    logits, truth = torch.randn(3, 4), torch.tensor([[2, 1, 2, 1], [1, 1, 1, 1], [0, 2, 1, 1]])
    found = softmax_l2(logits, truth, truth != 0)
    first = (logits[0].softmax(dim=0) - torch.tensor([0.5, 0, 0.5, 0])).square().sum() / 2
    third = (logits[2, 1:].softmax(dim=0) - torch.tensor([1.0, 0, 0])).square().sum() / 2
    assert torch.allclose(found, torch.stack([first, torch.zeros(()), third]), atol=1e-6)


def test_a_picture_without_labels_has_finite_gradients():
    net, truth = model(), torch.ones(2, 4, dtype=torch.long)
    sum(net.loss(step_of(pictures(2, net.backbone.channels), truth), CRITERION).values()).backward()
    assert all(p.grad.isfinite().all() for p in net.parameters() if p.grad is not None)


@torch.no_grad()
def test_penalties_are_those_of_scales_beyond_bounds_and_of_places_away_from_the_anchors():
    net, boxes = model(), torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(1))
    assert anchors(5).tolist() == [[0, 0], [0.5, 0.5], [0.5, -0.5], [-0.5, 0.5], [-0.5, -0.5]]
    for row in range(2):
        total = 0.0
        for (sx, sy, tx, ty), (cx, cy) in zip(boxes[row].tolist(), anchors(5).tolist(), strict=True):
            total += sum(max(abs(s) - 0.5, 0) ** 2 + 0.1 * max(0.1 - s, 0) for s in (sx, sy))
            total += 0.01 * ((tx - cx) ** 2 + (ty - cy) ** 2) / 2
        assert float(net.penalty(boxes)[row]) == pytest.approx(total, rel=1e-5)
    other = anchors(4)
    assert other[0].tolist() == [0, 0] and torch.allclose(other[1:].norm(dim=1), torch.full((3,), 0.5**0.5))


def test_the_loss_of_the_labels_reaches_the_places_of_the_regions():
    """Public code writes the places into a matrix, which cuts them off from the gradient."""
    net = stirred_module(model(4, "--model.location_weight", "0"), 0.2)
    features, truth = pictures(3, net.backbone.channels, grid=(5, 5)), random_truth(3, 4)
    net.loss(step_of(features, truth), CRITERION)["labels"].backward()
    assert net.location.weight.grad.abs().sum() > 0 and (net.location.bias.grad.abs() > 0).all()


@torch.no_grad()
def test_the_first_regions_are_the_whole_picture():
    net = model()
    features = Features(torch.randn(1, 9, net.backbone.channels), (3, 3))
    assert torch.equal(net.glimpses(features)[1], torch.tensor([1.0, 1.0, 0.0, 0.0]).expand(1, 5, 4))


@pytest.mark.parametrize("objective", ["softmax_l2", "bce"])
def test_it_learns_32_pictures(objective):
    """The source's objective ranks the labels of a picture, and not the pictures of a label."""
    flags = ("--model.hidden_dim", "32", "--model.narrow_dim", "16", "--model.regions", "2")
    net = model(5, "--model.objective", objective, *flags)
    truth, features = random_truth(32, 5), pictures(32, net.backbone.channels)
    train(net, features, truth, steps=80, rate=0.01)
    with torch.no_grad():
        logits, present = net.predict_labels(features, torch.zeros_like(truth)), truth == 2
    least, greatest = logits.masked_fill(~present, torch.inf), logits.masked_fill(present, -torch.inf)
    right = least.amin(dim=1) > greatest.amax(dim=1)
    assert right.float().mean() > 0.99
    if objective == "bce":
        assert mean_ap(net, features, truth) > 0.99


@torch.no_grad()
def test_its_tensors_do_not_grow_with_the_labels():
    sizes = []
    for labels in (10, 500):
        net = model(labels)
        with LargestTensor() as largest:
            net.glimpses(pictures(2, net.backbone.channels, grid=(14, 14)))
        sizes.append(largest.elements)
    assert sizes[0] == sizes[1]
