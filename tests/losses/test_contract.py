"""What every loss of ``ctran.losses`` must do; a new file there is found by itself."""

import dataclasses
import math
from typing import get_args, get_type_hints

import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import sigmoid_focal_loss

from ctran import losses, registry
from ctran.bounds import BOUND
from ctran.labels import LabelState
from ctran.losses._base import EntryLoss, LabelLoss, LossConfig

NAMES = registry.names(losses)
EXTREME = [-1e4, -90.0, -17.5, -3.0, 0.0, 3.0, 17.5, 90.0, 1e4]
"""Logits; from 17 on 1 - p is 0 in float32, from 90 on its exponential overflows, 1e4 is near the largest number of float16."""


def configs(name):
    """The defaults, and each option alone at the ends of its bounds and between them."""
    kind = registry.find(losses, name).Config
    found = [kind()]
    hints = get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if words := [word for word in get_args(hints[field.name]) if isinstance(word, str)]:
            found += [kind(**{field.name: word}) for word in words]
            continue
        bound = field.metadata[BOUND]
        ends = [bound.least, (bound.least + min(bound.most, 8)) / 2, bound.most]
        ends = [int(value) for value in ends] if isinstance(field.default, int) else ends
        found += [kind(**{field.name: value}) for value in ends if bound.holds(value)]
        if field.default is None or "None" in str(field.type):
            found.append(kind(**{field.name: None}))
    return found


CASES = [pytest.param(name, config, id=f"{name} {config}") for name in NAMES for config in configs(name)]
each_case = pytest.mark.parametrize(("name", "config"), CASES)


def built(name, config=None):
    module = registry.find(losses, name)
    return module.build(config or module.Config())


def of(entries, logits, truth, epoch=3, index=None):
    """Entry by entry, as in training: with an epoch and row numbers, and after the epoch before with the same logits."""
    index = torch.arange(len(logits)) + 5 if index is None else index
    entries(logits.detach(), truth, epoch=epoch - 1, index=index)
    return entries(logits, truth, epoch=epoch, index=index)


def counted(name, config, truth, states):
    """Entries that count: hidden from the model, and known unless the loss assumes something of unknown ones."""
    return (states == LabelState.UNKNOWN) & (built(name, config).uses_unknown | (truth != LabelState.UNKNOWN))


@pytest.fixture
def batch(generator):
    logits = 4 * torch.randn(6, 5, generator=generator)
    truth = torch.randint(0, 3, (6, 5), generator=generator)
    states = torch.where(torch.rand(6, 5, generator=generator) < 0.3, truth, 0)
    return logits, truth, states


@pytest.mark.parametrize("name", NAMES)
def test_a_file_holds_summary_options_with_bounds_and_a_loss(name):
    module = registry.find(losses, name)
    assert module.SUMMARY and "\n" not in module.SUMMARY and issubclass(module.Config, LossConfig)
    assert isinstance(built(name), EntryLoss)
    for field in dataclasses.fields(module.Config):
        assert f"{field.name}: " in module.Config.__doc__


@each_case
def test_losses_have_the_shape_of_the_logits_and_are_not_negative(name, config, batch):
    logits, truth, _ = batch
    found = of(built(name, config), logits, truth)
    assert found.shape == logits.shape and (found >= 0).all() and found.isfinite().all()


@each_case
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_extreme_logits_give_finite_losses_and_gradients(name, config, dtype):
    logits = torch.tensor(EXTREME, dtype=dtype)[:, None].repeat(1, 2).requires_grad_()
    truth = torch.tensor([[1, 2]]).repeat(len(logits), 1)
    loss = LabelLoss(built(name, config))(logits, truth, torch.zeros_like(truth))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.isfinite() and gradient.isfinite().all()
    assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)


@each_case
def test_entries_that_do_not_count_have_no_gradient_and_no_influence(name, config, batch):
    logits, truth, states = batch
    hidden = ~counted(name, config, truth, states)
    assert hidden.any() and not hidden.all()
    logits.requires_grad_()
    loss = LabelLoss(built(name, config))(logits, truth, states)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert (gradient[hidden] == 0).all()
    other = torch.where(hidden, -7 * logits, logits)
    assert torch.equal(LabelLoss(built(name, config))(other, truth, states), loss)


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_raises_positive_logits_and_lowers_negative_ones(name):
    """By default; also where the model is certain and wrong, from where it must find back."""
    logits = torch.tensor(EXTREME)[:, None].repeat(1, 2).requires_grad_()
    truth = torch.tensor([[1, 2]]).repeat(len(logits), 1)
    (gradient,) = torch.autograd.grad(of(built(name), logits, truth).sum(), logits)
    assert (gradient[:, 0] >= 0).all() and (gradient[:, 1] <= 0).all()
    assert gradient[4, 0] > 0 and gradient[4, 1] < 0 and gradient[0, 1] < 0


@each_case
def test_the_order_of_labels_and_pictures_makes_no_difference(name, config, batch, generator):
    logits, truth, _ = batch
    rows, columns = torch.randperm(6, generator=generator), torch.randperm(5, generator=generator)
    entries = built(name, config)
    assert torch.equal(of(entries, logits[:, columns], truth[:, columns]), of(entries, logits, truth)[:, columns])
    assert torch.allclose(of(entries, logits[rows], truth[rows], index=rows + 5), of(entries, logits, truth)[rows])
    both = [LabelLoss(entries)(each[0], each[1], each[2]) for each in (batch, [x[rows][:, columns] for x in batch])]
    assert torch.allclose(*both)


@each_case
def test_the_sum_is_the_mean_times_the_entries_that_count(name, config, batch):
    logits, truth, states = batch
    entries = built(name, config)
    mask = counted(name, config, truth, states)
    count = int(mask.sum())
    total = LabelLoss(entries, reduction="sum")(logits, truth, states)
    assert torch.allclose(total, count * LabelLoss(entries)(logits, truth, states))
    assert torch.allclose(total, entries(logits, truth)[mask].sum())


@pytest.mark.parametrize("name", NAMES)
def test_every_option_changes_the_loss(name, batch):
    logits, truth, _ = batch
    kind = registry.find(losses, name).Config
    for field in dataclasses.fields(kind):
        found = [of(built(name, c), logits, truth) for c in configs(name) if getattr(c, field.name) != field.default]
        assert found and any(not torch.equal(each, of(built(name), logits, truth)) for each in found), field.name


def cross_entropy(logits, truth, config):
    s = config.label_smoothing
    target = (truth == LabelState.POSITIVE).to(logits.dtype) * (1 - s) + s / 2
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none")


def asymmetric(logits, truth, config):
    """As it is printed (Ridnik et al., Eq. 4-6); the weights are constants in the gradient."""
    p = logits.sigmoid()
    shifted = (p - config.margin).clamp(min=0)
    positive = (1 - p.detach()) ** config.gamma_positive * p.log()
    negative = shifted.detach() ** config.gamma_negative * (1 - shifted).log()
    return -torch.where(truth == LabelState.POSITIVE, positive, negative)


def focal(logits, truth, config):
    """Torchvision's, for which -1 is no alpha."""
    target = (truth == LabelState.POSITIVE).to(logits.dtype)
    return sigmoid_focal_loss(logits, target, alpha=-1 if config.alpha is None else config.alpha, gamma=config.gamma)


def weak(logits, truth, config):
    """By PyTorch's own weights of entries (Cole et al., Eq. 4)."""
    target, weight = (truth == LabelState.POSITIVE).to(logits.dtype), torch.ones_like(logits)
    weight[truth == LabelState.UNKNOWN] = 1 / (logits.shape[1] - 1) if config.weight is None else config.weight
    return F.binary_cross_entropy_with_logits(logits, target, weight, reduction="none")


def hill(logits, truth, config):
    """As it is printed (Zhang et al., Eq. 7 and 9), and cross-entropy of known negatives."""
    p, shifted = logits.sigmoid(), (logits - config.margin).sigmoid()
    by_state = [(config.hill - p) * p * p, -(1 - p).log(), -((1 - shifted) ** config.gamma) * shifted.log()]
    return torch.stack(by_state).gather(0, truth[None])[0]


def splc(logits, truth, config):
    """As it is printed (Zhang et al., Eq. 10), in epoch 3."""
    p, shifted = logits.sigmoid(), (logits - config.margin).sigmoid()
    negative, positive = -(p**config.gamma) * (1 - p).log(), -((1 - p) ** config.gamma) * p.log()
    unknown = torch.where((p > config.threshold) & torch.tensor(config.start <= 3), positive, negative)
    by_state = [unknown, negative, -((1 - shifted) ** config.gamma) * shifted.log()]
    return torch.stack(by_state).gather(0, truth[None])[0]


def largest(logits, truth, config):
    """By sorting all unknown entries (Kim et al., Eq. 4-6), in epoch 3; permanently: also those of epoch 2."""
    target = (truth == LabelState.POSITIVE).to(logits.dtype)
    rounds = (2, 3) if config.scheme == "correct_permanently" else (3,)
    left_out = torch.zeros_like(truth, dtype=torch.bool)
    for epoch in rounds:
        share = config.rise if config.scheme == "correct_permanently" else min(1, config.rise * epoch)
        unknown = [(float(logits[i, j].detach()), i, j) for i, j in ((truth == 0) & (target == 0)).nonzero().tolist()]
        for _, i, j in sorted(unknown, reverse=True)[: math.ceil(share * len(unknown))]:
            left_out[i, j] = config.scheme == "reject"
            target[i, j] = float(config.scheme != "reject")
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none") * ~left_out


def selected(logits, truth, config):
    """Entry by entry (Ben-Baruch et al., Eq. 5-9); weights are constants in the gradient."""
    p, unknown = logits.sigmoid(), truth == LabelState.UNKNOWN
    gammas = torch.tensor([config.gamma_unknown, config.gamma_negative, config.gamma_positive])[truth]
    right = torch.where(truth == LabelState.POSITIVE, p, 1 - p)
    each = -((1 - right.detach()) ** gammas) * right.log()
    ranks = p[unknown].detach().sort(descending=True).values
    least = ranks[math.ceil(config.likely * len(ranks)) - 1] if config.likely else math.inf
    for j in range(logits.shape[1]):
        mean = p[:, j][unknown[:, j]].detach().mean()
        for i in range(len(logits)):
            if unknown[i, j] and (mean > config.frequent or p[i, j] >= least):
                each[i, j] = 0 * logits[i, j]
    return each


def uncertain(logits, truth, config):
    """Entry by entry (Zhou et al., Eq. 2-7), in epoch 3 after epoch 2 with the same logits."""
    p, each = logits.sigmoid(), torch.zeros_like(logits)
    rounds = 3 - config.start + 1
    for j in range(logits.shape[1]):
        unknown = [i for i in range(len(logits)) if truth[i, j] == LabelState.UNKNOWN]
        count = math.ceil(min(rounds / config.rounds, 1) * config.share * len(unknown)) if rounds > 0 else 0
        chosen = sorted(unknown, key=lambda i: float(p[i, j].detach()))[:count]
        for i in range(len(logits)):
            q = p[i, j].detach().float().to(p) if i in unknown else (truth[i, j] == LabelState.POSITIVE).to(p)
            nats = -(q * p[i, j].log() + (1 - q) * (1 - p[i, j]).log())
            entropy = -(p[i, j] * p[i, j].log() + (1 - p[i, j]) * (1 - p[i, j]).log())
            of_unknown = config.beta * nats if i in chosen else config.alpha * (math.log(2) - entropy)
            each[i, j] = of_unknown if i in unknown else nats
    return each


def imputed(logits, truth, config):
    """Bayes' rule from the joint probabilities of being present and being listed; without an average, by its own logits."""
    p = logits.detach().sigmoid()
    present_unlisted, absent_unlisted = p * (1 - config.listed), 1 - p
    target = torch.stack([present_unlisted / (present_unlisted + absent_unlisted), 0 * p, 0 * p + 1]).gather(0, truth[None])[0]
    weight = torch.where(truth == LabelState.UNKNOWN, config.weight, 1.0).to(logits.dtype)
    return F.binary_cross_entropy_with_logits(logits, target, weight, reduction="none")


ORACLES = {
    "bce": cross_entropy,
    "assume_negative": cross_entropy,
    "asl": asymmetric,
    "focal": focal,
    "weak_negatives": weak,
    "hill": hill,
    "splc": splc,
    "large_loss": largest,
    "selective": selected,
    "entropy": uncertain,
    "impute": imputed,
}


@pytest.mark.parametrize(("name", "config"), [case for case in CASES if case.values[0] in ORACLES])
def test_values_and_gradients_are_those_of_another_implementation(name, config, batch):
    logits, truth, _ = batch
    truth = truth if built(name, config).uses_unknown else truth.clamp(min=1)
    found, expected = (logits.double().requires_grad_() for _ in range(2))
    ours, theirs = of(built(name, config), found, truth), ORACLES[name](expected, truth, config)
    assert torch.allclose(ours, theirs, rtol=1e-9, atol=1e-12)
    assert torch.allclose(of(built(name, config), logits, truth).double(), theirs, rtol=1e-4, atol=1e-6)
    ours.sum().backward()
    theirs.sum().backward()
    assert torch.allclose(found.grad, expected.grad, rtol=1e-9, atol=1e-12)


def test_a_loss_gets_the_epoch_and_the_rows_of_its_pictures(batch):
    class Seen(EntryLoss):
        def forward(self, logits, truth, *, epoch=0, index=None):
            self.seen = epoch, index
            return logits.abs()

    logits, truth, states = batch
    entries, rows = Seen(), torch.tensor([4, 1, 0, 9, 2, 8])
    LabelLoss(entries)(logits, truth, states, epoch=7, index=rows)
    assert entries.seen[0] == 7 and torch.equal(entries.seen[1], rows)


def test_no_entries_that_count_are_a_loss_of_zero_with_any_group(batch):
    logits, _, _ = batch
    nothing, everything = torch.zeros(6, 5, dtype=torch.long), torch.ones(6, 5, dtype=torch.long)
    for name in NAMES:
        states = everything if built(name).uses_unknown else nothing
        for groups in ((), (torch.tensor([0, 1]),)):
            z = logits.clone().requires_grad_()
            loss = LabelLoss(built(name), groups=groups)(z, states, states)
            loss.backward()
            assert loss == 0 and not math.isnan(float(z.grad.abs().sum())) and (z.grad == 0).all()
