"""Order-free recurrent classifiers: alignments against exhaustive search, losses against loops over single pictures."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment

from ctran.errors import UserError
from ctran.methods._assignment import least_cost
from ctran.methods.order_free_rnn import Config, aligned
from tests.conftest import stirred_module
from tests.methods.training import (
    CRITERION,
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

SMALL = ("hidden_dim", "12", "word_dim", "8", "attention_dim", "6", "dropout", "0")
FLAGS = [flag if place % 2 else f"--model.{flag}" for place, flag in enumerate(SMALL)]


def model(alignment, labels=4, *flags):
    net = model_of("order_free_rnn", labels, *FLAGS, "--model.alignment", alignment, *flags)
    stirred_module(net, 0.5).longest.fill_(labels)
    return net


def logits_after(net, tokens, sequence):
    """Of all labels and the end, after the labels of a sequence, of one picture: the formulas."""
    decoder, average = net.decoder, tokens.mean(dim=0, keepdim=True)
    hidden, memory = decoder.first_hidden(average), decoder.first_memory(average)
    start = decoder.start
    if net.config.alignment == "pool":
        start = net.confidence(average).sigmoid() @ decoder.words.weight
    for label in [None, *sequence]:
        word = start if label is None or label == len(net.names) else decoder.words.weight[label : label + 1]
        scores = torch.stack([decoder.score((decoder.cells(z) + decoder.query(hidden[0])).relu())[0] for z in tokens])
        context = decoder.gate(hidden[0]).sigmoid() * sum(a * z for a, z in zip(scores.softmax(dim=0), tokens, strict=True))
        hidden, memory = decoder.cell(torch.cat([word[0], context])[None], (hidden, memory))
    return torch.cat([decoder.readout(hidden)[0], decoder.end(hidden)[0]])


@pytest.mark.parametrize("size", [0, 1, 2, 5, 9])
def test_an_assignment_costs_as_little_as_scipy_s(size):
    random = np.random.default_rng(size)
    for _ in range(20):
        cost = random.normal(size=(size, size)).round(1)  # rounded: with ties
        found = least_cost(cost.tolist())
        assert sorted(found) == list(range(size))
        rows, columns = linear_sum_assignment(cost)
        assert sum(cost[i, j] for i, j in enumerate(found)) == pytest.approx(cost[rows, columns].sum())


def test_mla_takes_the_order_of_least_cost():
    scores = torch.randn(6, 5, 6, generator=torch.Generator().manual_seed(0)).log_softmax(dim=2)
    left = random_truth(6, 5, share=0.6)[:, :5] == 2
    left[0] = False
    left[:, 4] = False  # at most four labels in five steps
    found = aligned(scores, left, pin=False)
    for row, present in enumerate(left):
        labels = present.nonzero()[:, 0].tolist()
        best = max(itertools.permutations(labels), key=lambda p: float(sum(scores[row, t, label] for t, label in enumerate(p))))
        assert found[row].tolist() == [*best, 5, *[-1] * (4 - len(labels))]


def test_pla_keeps_labels_where_they_are_predicted_first_and_assigns_the_others():
    scores = torch.full((1, 4, 5), -4.0)
    scores[0, 0, 3] = scores[0, 1, 3] = -0.1  # label 3 is predicted twice: the first counts
    scores[0, 2, 4] = -0.1  # the end, too early
    scores[0, 1, 0], scores[0, 2, 0], scores[0, 1, 1], scores[0, 2, 1] = -1.0, -2.0, -1.5, -4.0
    left = torch.tensor([[True, True, False, True]])
    assert aligned(scores, left, pin=True).tolist() == [[3, 1, 0, 4]]
    assert scores[0, 3].argmax() == 0  # what is predicted behind the last target step does not count
    scores[0, 3, 1] = -0.1
    assert aligned(scores, left, pin=True).tolist() == [[3, 1, 0, 4]]


@torch.no_grad()
@pytest.mark.parametrize("alignment", ["pla", "mla"])
def test_the_loss_is_that_of_own_predictions_with_aligned_labels(alignment):
    net, truth = model(alignment), torch.tensor([[2, 1, 2, 1], [1, 1, 1, 1], [2, 2, 2, 1]])
    features, total = pictures(3, net.backbone.channels), 0.0
    for row in range(3):
        fed, scores = [], []
        for _ in range(4):
            logits = logits_after(net, features.tokens[row], fed)
            scores.append(logits.log_softmax(dim=0))
            fed.append(int(logits.argmax()))
        scores = torch.stack(scores)[None]
        targets = aligned(scores, truth[row : row + 1] == 2, pin=alignment == "pla")[0]
        total -= float(sum(scores[0, t, label] for t, label in enumerate(targets.tolist()) if label >= 0))
    assert loss_of(net, step_of(features, truth)) == pytest.approx(total / 3, rel=1e-4)


@torch.no_grad()
def test_the_pool_loses_its_most_confident_label_at_each_step():
    net, truth = model("pool"), torch.tensor([[2, 1, 2, 2], [1, 1, 1, 1], [1, 2, 1, 0]])
    features, total = pictures(3, net.backbone.channels), 0.0
    for row, codes in enumerate(truth.tolist()):
        left, fed = {label for label in range(4) if codes[label] == 2}, []
        while True:
            logits = logits_after(net, features.tokens[row], fed)
            for label in (label for label in range(4) if codes[label]):
                total += float(F.binary_cross_entropy_with_logits(logits[label], torch.tensor(float(label in left))))
            total += float(F.binary_cross_entropy_with_logits(logits[4], torch.tensor(float(not left))))
            if not left:
                break
            fed.append(max(left, key=lambda label: float(logits[label])))
            left.remove(fed[-1])
    terms = net.loss(step_of(features, truth), CRITERION)
    assert float(terms["labels"]) == pytest.approx(total / 3, rel=1e-4)
    confidence = net.confidence(features.tokens.mean(dim=1))
    assert float(terms["confidence"]) == pytest.approx(float(CRITERION(confidence, truth, torch.zeros_like(truth))), rel=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("alignment", ["pla", "pool"])
def test_known_labels_are_a_forced_start_and_absent_ones_are_never_chosen(alignment):
    net = model(alignment)
    features = pictures(8, net.backbone.channels)
    states = torch.tensor([[0, 2, 0, 1]]).repeat(8, 1)
    chosen = net.decode(features, states)
    assert chosen[:, 1].all() and not chosen[:, 3].any()
    logits = net.predict_labels(features, states)
    for row in range(8):
        first = logits_after(net, features.tokens[row], [1])
        p = first.sigmoid() if alignment == "pool" else first.softmax(dim=0)
        assert logits[row].sigmoid()[0] >= p[0] - 1e-5 and logits[row].sigmoid()[2] >= p[2] - 1e-5


def test_own_predictions_do_not_depend_on_the_order_of_the_labels():
    """Unlike cnn_rnn, whose targets are sorted."""
    net, truth = model("mla"), random_truth(6, 4)
    features = pictures(6, net.backbone.channels)
    before = loss_of(net, step_of(features, truth))
    net.rank.copy_(torch.tensor([3, 1, 0, 2]))
    assert loss_of(net, step_of(features, truth)) == before


@pytest.mark.parametrize("alignment", ["pla", "mla", "pool"])
def test_it_learns_32_pictures_and_their_label_sets(alignment):
    net = model_of("order_free_rnn", 4, "--model.hidden_dim", "32", "--model.word_dim", "8", "--model.dropout", "0",
                   "--model.attention_dim", "8", "--model.alignment", alignment)  # fmt: skip
    truth, features = random_truth(32, 4), pictures(32, net.backbone.channels)
    net.fit_statistics(table_of(truth))
    train(net, features, truth, steps=70, rate=0.03)
    assert mean_ap(net, features, truth) > 0.99
    with torch.no_grad():
        assert (net.decode(features, torch.zeros_like(truth)) == (truth == 2)).float().mean() > 0.99


def test_stages_train_the_encoder_then_all_then_the_decoder():
    config = Config(encoder_share=0.5, decoder_share=0.25)
    stages = config.stages(8)
    assert [(s.epochs, s.name) for s in stages] == [(4, "encoder"), (2, "joint"), (2, "decoder")]
    assert stages[0].learning_rates == {"decoder": 0} and stages[2].learning_rates == {"backbone": 0, "confidence": 0}
    assert [s.epochs for s in Config().stages(8)] == [0, 8, 0]
    with pytest.raises(UserError, match=r"must be at most 1 together, got 0\.6 and 0\.5"):
        Config(encoder_share=0.6, decoder_share=0.5)


@torch.no_grad()
def test_attention_over_many_cells_does_not_grow_with_the_labels():
    sizes = []
    for labels in (10, 500):
        net = model("pla", labels)
        net.longest.fill_(3)
        features = pictures(2, net.backbone.channels, grid=(14, 14))
        with LargestTensor() as largest:
            net.decode(features, torch.zeros(4, labels, dtype=torch.long))
        sizes.append(largest.elements)
    assert sizes[0] == sizes[1]
