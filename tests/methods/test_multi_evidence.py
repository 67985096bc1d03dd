"""The surrogate of Multi-Evidence: where regions are, which of them count, and how their scores are fused."""

import pytest
import torch

from ctran.methods import multi_evidence
from ctran.model import Features
from tests.conftest import stirred_module
from tests.methods.training import CRITERION, LargestTensor, mean_ap, model_of, random_truth, step_of, train


def model(labels=4, *flags):
    return model_of("multi_evidence", labels, *flags)


def features_of(net, count, seed=0, grid=(2, 3)):
    """Tokens, and features of regions with the labels that they are of."""
    generator = torch.Generator().manual_seed(seed)
    channels, number = net.backbone.channels, net.number
    tokens = torch.randn(count, grid[0] * grid[1], channels, generator=generator)
    regions = torch.randn(count, channels, number, 1, generator=generator)
    chosen = torch.stack([torch.randperm(len(net.seen), generator=generator)[:number] for _ in range(count)])
    return Features(tokens, grid, maps={"regions": regions, "chosen": chosen[:, None, :, None]})


@torch.no_grad()
def test_a_region_is_a_part_of_the_picture_around_a_cell():
    net = model(4, "--model.region_share", "0.5")
    line = (torch.arange(32) + 0.5) / 16 - 1  # each pixel holds its own place
    image = torch.stack([line.expand(32, 32), line[:, None].expand(32, 32), torch.zeros(32, 32)])[None]
    boxes = net.boxes(torch.tensor([[0, 6, 11]]), (3, 4))  # the corner, a cell inside, the opposite corner
    assert torch.allclose(boxes[0], torch.tensor([[-0.5, -0.5], [0.25, 0.0], [0.5, 0.5]]))
    for crop, (x, y) in zip(net.crops(image, boxes), boxes[0].tolist(), strict=True):
        assert torch.allclose(crop[0], (x + line / 2).clamp(-1, 1).expand(32, 32), atol=0.02)
        assert torch.allclose(crop[1], (y + line / 2).clamp(-1, 1)[:, None].expand(32, 32), atol=0.02)


@torch.no_grad()
def test_the_regions_are_those_of_the_peaks_of_the_most_likely_labels(monkeypatch):
    net = stirred_module(model(5, "--model.regions", "2", "--model.image_size", "64"), 0.5)
    images, seen = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2)), []
    monkeypatch.setattr(net, "crops", lambda images, boxes, original=net.crops: seen.append(boxes) or original(images, boxes))
    features = net.encode_images(images)
    plain = net.backbone(images)
    height, width = plain.grid
    for row in range(2):
        scores = plain.tokens[row] @ net.image.weight.T + net.image.bias
        best = scores.amax(dim=0).argsort(descending=True)[:2]
        assert features.maps["chosen"][row, 0, :, 0].tolist() == best.tolist()
        for place, label in enumerate(best.tolist()):
            cell = int(scores[:, label].argmax())
            middle = ((cell % width + 0.5) / width * 2 - 1, (cell // width + 0.5) / height * 2 - 1)
            expected = [min(max(at, -0.5), 0.5) for at in middle]
            assert seen[0][row, place].tolist() == pytest.approx(expected, abs=1e-5)
    crop = net.crops(images, seen[0])[2:3]  # the first region of the second picture
    assert torch.allclose(features.maps["regions"][1, :, 0, 0], net.backbone(crop).tokens.mean(dim=1)[0], atol=1e-4)


@torch.no_grad()
def test_evidence_is_the_greatest_of_the_picture_and_of_the_regions_that_are_like_their_label():
    net = stirred_module(model(5, "--model.regions", "3", "--model.similarity", "0.0"), 0.5)
    net.means.copy_(torch.randn(net.means.shape, generator=torch.Generator().manual_seed(1)))
    net.seen[:4] = True
    features, kept = features_of(net, 6), 0
    found = net.predict_labels(features, torch.zeros(6, 5, dtype=torch.long))
    for row in range(6):
        scores = [net.image(token) for token in features.tokens[row]]
        for place, label in enumerate(features.maps["chosen"][row, 0, :, 0].tolist()):
            vector, mean = features.maps["regions"][row, :, place, 0], net.means[label]
            if label == 4 or float(vector @ mean / vector.norm() / mean.norm()) >= 0:
                scores.append(net.region(vector))
                kept += 1
        assert torch.allclose(found[row], torch.stack(scores).amax(dim=0), atol=1e-5)
    assert 0 < kept < 18


def test_means_are_of_the_regions_of_labels_that_are_there():
    net = model(4, "--model.regions", "2")
    features, truth = features_of(net, 2), torch.ones(2, 4, dtype=torch.long)
    label = int(features.maps["chosen"][0, 0, 1, 0])
    truth[0, label] = 2
    net.train().loss(step_of(features, truth), CRITERION)
    vector = features.maps["regions"][0, :, 1, 0]
    assert net.seen.nonzero()[:, 0].tolist() == [label]
    assert torch.allclose(net.means[label], vector / vector.norm(), atol=1e-6)
    other = features_of(net, 2, seed=8)
    other.maps["chosen"][0, 0, 0, 0], other.maps["chosen"][0, 0, 1, 0] = label, (label + 1) % 4
    net.loss(step_of(other, truth), CRITERION)
    fresh = other.maps["regions"][0, :, 0, 0]
    expected = (1 - multi_evidence.MOMENTUM) * vector / vector.norm() + multi_evidence.MOMENTUM * fresh / fresh.norm()
    assert torch.allclose(net.means[label], expected, atol=1e-6)


def test_it_learns_32_pictures():
    net, truth = model(5), random_truth(32, 5)
    features = features_of(net, 32)
    assert mean_ap(train(net, features, truth, steps=80, rate=0.02), features, truth) > 0.99


def test_it_is_named_a_surrogate():
    assert multi_evidence.SUMMARY.startswith("surrogate") and multi_evidence.ABOUT.source.startswith("surrogate")


@torch.no_grad()
def test_500_labels_need_a_map_of_cells_and_labels_at_most():
    net = model(500)
    features = features_of(net, 2, grid=(14, 14))
    with LargestTensor() as largest:
        net.predict_labels(features, torch.zeros(2, 500, dtype=torch.long))
    assert largest.elements <= 2 * 196 * 500
