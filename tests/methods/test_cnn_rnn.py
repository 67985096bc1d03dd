"""CNN-RNN: steps, loss and searches against literal loops over single pictures."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from ctran.labels import LabelSpace
from ctran.losses._base import LabelLoss
from ctran.losses.bce import BCE
from tests.conftest import stirred_module
from tests.methods.training import (
    LargestTensor,
    loss_of,
    mean_ap,
    model_of,
    pictures,
    random_truth,
    step_of,
    table_of,
    train,
)

SMALL = ("--model.hidden_dim", "12", "--model.word_dim", "8", "--model.dropout", "0")


def model(labels=4, *flags, longest=None):
    found = stirred_module(model_of("cnn_rnn", labels, *SMALL, *flags), 0.6)
    found.longest.fill_(longest or (labels if isinstance(labels, int) else len(labels)))
    return found


def log_probabilities(net, tokens, sequence):
    """Of each label and the end, after the labels of a sequence, from the formulas."""
    hidden = memory = torch.zeros(1, 12)
    for label in [None, *sequence]:
        word = net.start if label is None else net.words.weight[label : label + 1]
        hidden, memory = net.cell(word, (hidden, memory))
    joined = F.relu(net.output(hidden) + net.image(tokens.mean(dim=0, keepdim=True)))
    return torch.cat([net.words.weight @ joined[0], net.end @ joined[0]]).log_softmax(dim=0)


@torch.no_grad()
def test_the_loss_is_the_cross_entropy_along_the_labels_from_the_most_frequent_on_and_the_end():
    net, truth = model(), torch.tensor([[2, 2, 1, 1], [2, 1, 1, 2], [1, 1, 1, 1], [2, 2, 1, 2]])
    net.fit_statistics(table_of(truth))
    assert net.rank.tolist() == [0, 1, 3, 2] and int(net.longest) == 3  # of equal labels the first by name
    features, total = pictures(4, net.backbone.channels), 0.0
    for row, sequence in enumerate(([0, 1], [0, 3], [], [0, 1, 3])):
        for number, target in enumerate([*sequence, 4]):
            total -= float(log_probabilities(net, features.tokens[row], sequence[:number])[target])
    assert loss_of(net, step_of(features, truth)) == pytest.approx(total / 4, rel=1e-4)
    summed = LabelLoss(BCE(), reduction="sum")
    assert loss_of(net, step_of(features, truth), summed) == pytest.approx(total, rel=1e-4)


@torch.no_grad()
def test_known_labels_and_missing_annotations_are_no_targets_and_cannot_be_emitted():
    net = model()
    features, truth, states = pictures(1, net.backbone.channels), torch.tensor([[2, 1, 2, 0]]), torch.tensor([[0, 1, 2, 0]])
    first, end = (log_probabilities(net, features.tokens[0], before).exp() for before in ([2], [2, 0]))
    allowed = [0, 2, 4]
    expected = -(first[0] / first[allowed].sum()).log() - (end[4] / end[allowed].sum()).log()
    assert loss_of(net, step_of(features, truth, states)) == pytest.approx(float(expected), rel=1e-4)


@torch.no_grad()
def test_a_search_of_all_paths_finds_the_most_probable_one():
    net = model(3, "--model.beams", "40")
    net.longest.fill_(3)
    features = pictures(5, net.backbone.channels)
    states = torch.tensor([[0, 0, 0], [0, 0, 0], [2, 0, 0], [0, 1, 0], [2, 0, 2]])
    found = net.decode(features, states)
    for row, given in enumerate(states.tolist()):
        start = [label for label in net.rank.argsort().tolist() if given[label] == 2]
        free = [label for label in range(3) if given[label] == 0]
        paths = [p for count in range(len(free) + 1) for p in itertools.permutations(free, count)]

        def value(path, row=row, start=start):
            every = [*start, *path, 3]
            steps = range(len(start), len(every))
            return float(sum(log_probabilities(net, features.tokens[row], every[:i])[every[i]] for i in steps))

        assert found[row].nonzero()[:, 0].tolist() == sorted([*start, *max(paths, key=value)])


@torch.no_grad()
def test_one_beam_is_the_greedy_path_and_its_probabilities_rank_the_labels():
    net = model(5, "--model.beams", "1")
    features, states = pictures(6, net.backbone.channels), torch.zeros(6, 5, dtype=torch.long)
    states[4, 2], states[5, 1] = 2, 1
    logits, chosen = net.predict_labels(features, states), net.decode(features, states)
    for row, given in enumerate(states.tolist()):
        path, best = [label for label in range(5) if given[label] == 2], torch.zeros(5)
        while True:
            scores = log_probabilities(net, features.tokens[row], path)
            closed = [label for label in range(5) if given[label] or label in path]
            scores[closed] = -torch.inf
            best = torch.maximum(best, scores[:5].exp())
            if int(scores.argmax()) == 5:
                break
            path.append(int(scores.argmax()))
        assert chosen[row].nonzero()[:, 0].tolist() == sorted(path)
        assert torch.allclose(logits[row].sigmoid(), best.clamp(min=1e-6), atol=1e-4)


def test_it_learns_32_pictures_and_their_label_sets():
    net = model_of("cnn_rnn", 5, "--model.hidden_dim", "32", "--model.word_dim", "16", "--model.dropout", "0")
    truth, features = random_truth(32, 5), pictures(32, net.backbone.channels)
    net.fit_statistics(table_of(truth))
    train(net, features, truth, steps=250, rate=0.01)
    assert mean_ap(net, features, truth) > 0.99
    with torch.no_grad():
        assert torch.equal(net.decode(features, torch.zeros_like(truth)), truth == 2)


def test_labels_of_equal_frequency_are_ordered_by_name():
    net = model(LabelSpace(("pear", "apple", "fig")))
    net.fit_statistics(table_of(torch.tensor([[2, 2, 1], [1, 1, 2]])))
    assert net.rank.tolist() == [2, 0, 1]


@torch.no_grad()
def test_500_labels_and_many_cells_make_no_tensor_of_both():
    net = model(500, longest=6)
    features = pictures(2, net.backbone.channels, grid=(14, 14))
    with LargestTensor() as largest:
        net.decode(features, torch.zeros(4, 500, dtype=torch.long))
    assert largest.elements < 2 * features.tokens.numel()
