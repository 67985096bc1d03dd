"""Exclusive groups: probabilities and loss against plain enumeration; consistency with what is known."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from ctran.constraints import exclusive
from ctran.labels import LabelState

GROUP = torch.tensor([1, 3, 4])
U, N, P = (int(s) for s in LabelState)


def test_probabilities_are_those_of_independent_labels_given_that_one_is_present(generator):
    logits = torch.randn(1, 5, generator=generator).double()
    odds = logits[0, GROUP].exp().tolist()
    worlds = {}
    for present in itertools.product([0, 1], repeat=3):
        if sum(present) == 1:
            worlds[present.index(1)] = math.prod(o if y else 1 for o, y in zip(odds, present, strict=True))
    expected = [worlds[i] / sum(worlds.values()) for i in range(3)]
    found = exclusive.probabilities(logits, torch.zeros(1, 5, dtype=torch.long), [GROUP])[0]
    assert found[GROUP].tolist() == pytest.approx(expected)
    assert torch.equal(found[[0, 2]], logits[0, [0, 2]].sigmoid())


def test_what_is_known_is_never_contradicted(generator):
    logits = torch.randn(2, 5, generator=generator)
    states = torch.tensor([[U, U, U, P, U], [U, N, P, U, U]])
    found = exclusive.probabilities(logits, states, [GROUP])
    assert found[0, GROUP].tolist() == [0, 1, 0]
    assert found[1, 1] == 0 and found[1, GROUP].sum() == pytest.approx(1)


def test_one_label_left_is_certain(generator):
    found = exclusive.probabilities(torch.randn(1, 5, generator=generator), torch.tensor([[U, N, U, U, N]]), [GROUP])
    assert found[0, 3] == 1


def test_loss_with_complete_truth_is_cross_entropy(generator):
    logits = torch.randn(6, 5, generator=generator)
    truth = torch.ones(6, 5, dtype=torch.long)
    right = torch.randint(3, (6,), generator=generator)
    truth[torch.arange(6), GROUP[right]] = P
    found = exclusive.cross_entropy(logits, truth, torch.zeros_like(truth), GROUP)
    assert torch.allclose(found, F.cross_entropy(logits[:, GROUP], right, reduction="none"), atol=1e-6)


@pytest.mark.parametrize(
    ("truth", "states", "true", "told"),
    [
        ((U, N, U), (U, U, U), (0, 2), (0, 1, 2)),  # somebody ruled one out
        ((P, N, N), (U, N, U), (0,), (0, 2)),  # one is told to be absent
        ((U, U, U), (U, U, U), (0, 1, 2), (0, 1, 2)),  # nobody looked
        ((N, P, N), (U, P, U), (1,), (1,)),  # the answer was told
    ],
)
def test_loss_is_the_likelihood_of_what_truth_adds_to_states(generator, truth, states, true, told):
    z = torch.randn(1, 3, generator=generator)
    weight = z[0].double().exp()
    expected = -math.log(sum(weight[i] for i in true) / sum(weight[i] for i in told))
    found = exclusive.cross_entropy(z, torch.tensor([truth]), torch.tensor([states]), torch.arange(3))
    assert float(found) == pytest.approx(expected, abs=1e-6)
