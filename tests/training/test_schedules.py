"""Learning rates, optimizers, what trains, and the average of weights, against closed formulas."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.optim import SGD

from ctran.errors import UserError
from ctran.labels import LabelSpace
from ctran.methods import linear
from ctran.training.average import moving_average
from ctran.training.frozen import freeze_others, frozen_parts_to_eval
from ctran.training.optimizer import optimizer_of
from ctran.training.options import Training
from ctran.training.schedules import Stage, StagedSchedule


def rates(options, stages, steps_per_epoch=10, break_at=None):
    """Learning rates of every step; with ``break_at`` by two schedulers, the second from the state of the first."""
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": rate} for rate in stages[0].rates]
    optimizer = optimizer_of(options, groups)
    schedule = StagedSchedule(optimizer, options, stages, steps_per_epoch)
    found = []
    for step in range(sum(stage.steps for stage in stages)):
        if step == break_at:
            saved = copy.deepcopy((optimizer.state_dict(), schedule.state_dict()))
            optimizer = optimizer_of(options, groups)
            schedule = StagedSchedule(optimizer, options, stages, steps_per_epoch)
            optimizer.load_state_dict(saved[0])
            schedule.load_state_dict(saved[1])
        found.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        schedule.step()
    return torch.tensor(found, dtype=torch.double).T


def one_cycle(done):
    low, peak, end = 1 / 25, 0.2, 1 / 250_000
    start, stop, part = (low, 1.0, done / peak) if done < peak else (1.0, end, (done - peak) / (1 - peak))
    return stop + (start - stop) * 0.5 * (1 + math.cos(math.pi * min(1.0, part)))


def cosine(done, total):
    return min(1.0, (done + 1) / max(1, round(0.05 * total))) * 0.5 * (1 + math.cos(math.pi * done / total))


FORMULAS = {
    "constant": lambda step, total: 1.0,
    "cosine": cosine,
    "onecycle": lambda step, total: one_cycle(step / total),
}


@pytest.mark.parametrize("schedule", FORMULAS)
@pytest.mark.parametrize("steps", [1, 2, 7, 20, 331, 1000])
def test_rates_are_those_of_the_closed_formula_at_every_step(schedule, steps):
    found = rates(Training(schedule=schedule), [Stage(steps, [0.3, 0.0, 2e-5])])
    expected = torch.tensor([FORMULAS[schedule](step, steps) for step in range(steps)], dtype=torch.double)
    for own, rate in zip(found, (0.3, 0.0, 2e-5), strict=True):
        assert torch.allclose(own, rate * expected, rtol=1e-7, atol=0)


@pytest.mark.parametrize("schedule", FORMULAS)
def test_each_stage_has_its_rates_and_a_whole_schedule(schedule):
    stages = [Stage(30, [0.3, 0.3]), Stage(70, [0.1, 0.0])]
    found = rates(Training(schedule=schedule), stages)
    for stage, part in zip(stages, (found[:, :30], found[:, 30:]), strict=True):
        assert torch.equal(part, rates(Training(schedule=schedule), [stage]))


@pytest.mark.parametrize("schedule", [*FORMULAS, "steps"])
@pytest.mark.parametrize("at", [1, 29, 30, 31, 60])
def test_a_schedule_goes_on_from_its_state_to_the_bit(schedule, at):
    options = Training(schedule=schedule, milestones=(1, 3) if schedule == "steps" else ())
    stages = [Stage(30, [0.3, 0.3]), Stage(70, [0.1, 0.0])]
    assert torch.equal(rates(options, stages, break_at=at), rates(options, stages))


def test_steps_fall_by_the_factor_after_each_milestone_and_a_warm_up_rises_in_a_line():
    plain = Training(schedule="steps", milestones=(2, 4), factor=0.5)
    expected = torch.tensor([1.0] * 20 + [0.5] * 20 + [0.25] * 10, dtype=torch.double)
    assert torch.allclose(rates(plain, [Stage(50, [0.2])])[0], 0.2 * expected, rtol=1e-12)
    expected[:4] *= torch.tensor([0.25, 0.5, 0.75, 1.0], dtype=torch.double)
    for warmup in (4.0, 0.08):
        warm = Training(schedule="steps", milestones=(2, 4), factor=0.5, warmup=warmup)
        assert torch.allclose(rates(warm, [Stage(50, [0.2])])[0], 0.2 * expected, rtol=1e-12)
    assert rates(Training(schedule="cosine", warmup=0.0), [Stage(50, [0.2])])[0, 0] == 0.2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"nesterov": True, "optimizer": "sgd", "momentum": 0.0}, "nesterov needs a training.momentum above 0"),
        ({"schedule": "steps"}, "schedule steps needs training.milestones"),
        ({"schedule": "steps", "milestones": (3, 2)}, r"milestones must rise, got \[3, 2\]"),
    ],
)
def test_keys_that_contradict_each_other_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        Training(**options)


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd_takes_steps_with_momentum(nesterov):
    options = Training(optimizer="sgd", nesterov=nesterov, weight_decay=0.1, learning_rate=0.05)
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    oracle = copy.deepcopy(model)
    groups = [{"params": list(model.parameters()), "lr": 0.05, "weight_decay": 0.1}]
    ours = optimizer_of(options, groups)
    theirs = SGD(oracle.parameters(), lr=0.05, momentum=0.9, weight_decay=0.1, nesterov=nesterov)
    for _ in range(3):
        x = torch.randn(4, 3)
        for net, optimizer in ((model, ours), (oracle, theirs)):
            optimizer.zero_grad()
            net(x).square().sum().backward()
            optimizer.step()
    assert torch.equal(model.weight, oracle.weight)


def small():
    config = linear.Config("test_resnet", image_size=64)
    return linear.build(config, LabelSpace(("a", "b", "c"))).train()


def test_only_what_is_named_trains_and_the_norms_of_the_rest_keep_their_statistics():
    model = small()
    freeze_others(model, ["backbone.network.layer4", "classifier"])
    training = {name for name, p in model.named_parameters() if p.requires_grad}
    assert training == {n for n, _ in model.named_parameters() if n.startswith(("backbone.network.layer4.", "classifier."))}
    frozen_parts_to_eval(model)
    before = {name: b.clone() for name, b in model.named_buffers()}
    model(torch.randn(2, 3, 64, 64), torch.zeros(2, 3, dtype=torch.long))
    moved = {name for name, b in model.named_buffers() if not torch.equal(b, before[name])}
    assert moved and all(name.startswith("backbone.network.layer4.") for name in moved)
    assert model.dropout.training and {id(p) for g in model.parameter_groups(Training()) for p in g["params"]} == {
        id(p) for p in model.parameters() if p.requires_grad
    }


@pytest.mark.parametrize("wrong", ["backbone.network.layer", "classifier.weights"])
def test_a_name_that_nothing_has_is_refused_with_the_nearest(wrong):
    with pytest.raises(UserError, match=rf"training.trainable: no parameter's name starts with '{wrong}'.*did you mean"):
        freeze_others(small(), [wrong])


def test_parts_have_their_rates_and_all_that_trains_is_in_one_group():
    model = small()
    options = Training(learning_rate=0.1, backbone_learning_rate=0.01, weight_decay=0.5)
    groups = model.parameter_groups(options)
    assert {(g["part"], g["lr"], g["weight_decay"]) for g in groups} == {
        *(("backbone", 0.01, decay) for decay in (0.0, 0.5)),
        *(("", 0.1, decay) for decay in (0.0, 0.5)),
    }
    ids = [id(p) for g in groups for p in g["params"]]
    assert sorted(ids) == sorted(id(p) for p in model.parameters())


@pytest.mark.parametrize("decay", [0.3, 0.999])
def test_the_average_is_that_of_its_formula_and_its_buffers_are_the_models(decay):
    model = small()
    average = moving_average(model, decay)
    expected = {name: p.detach().clone() for name, p in model.named_parameters()}
    for n in range(1, 6):
        with torch.no_grad():
            for p in model.parameters():
                p.add_(torch.randn(p.shape))
            for b in model.buffers():
                b.add_(1)
        average.update_parameters(model)
        share = min(decay, (1 + n) / (10 + n))
        expected = {name: share * expected[name] + (1 - share) * p for name, p in model.named_parameters()}
    for name, p in average.module.named_parameters():
        assert torch.allclose(p, expected[name], atol=1e-6)
    assert all(torch.equal(a, b) for a, b in zip(average.module.buffers(), model.buffers(), strict=True))
    assert not average.module.training and not any(p.requires_grad for p in average.parameters())


def test_a_prefix_that_only_names_frozen_parameters_is_refused():
    model = small()
    model.backbone.requires_grad_(False)
    with pytest.raises(UserError, match=r"training.trainable: 'backbone.network.layer4' has no effect"):
        freeze_others(model, ["classifier", "backbone.network.layer4"])
    assert all(p.requires_grad for p in model.classifier.parameters())
