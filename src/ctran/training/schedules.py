"""Learning rates step by step: PyTorch's schedulers, one for each stage of a training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    ConstantLR,
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    OneCycleLR,
)

from ctran.training.options import Training

COSINE_WARMUP = 0.05
"""Share of the steps, if ``training.warmup`` is null."""
PEAK = 0.2
"""Share of the steps of one cycle in which the rate rises (Smith and Topin, Super-convergence, 2018, in PyTorch's form)."""


@dataclass(frozen=True)
class Stage:
    """Consecutive steps with a separate schedule.

    Args:
        steps: at least 1.
        rates: peak learning rate of each parameter group.
    """

    steps: int
    rates: Sequence[float]


def scheduler(optimizer: Optimizer, options: Training, stage: Stage, steps_per_epoch: int) -> LRScheduler:
    """PyTorch's scheduler for one stage; the optimizer's learning rates become those of its first step."""
    for group, rate in zip(optimizer.param_groups, stage.rates, strict=True):
        group["lr"] = group["initial_lr"] = rate
    steps = stage.steps
    if options.schedule == "onecycle":  # from step 0 to step ``steps``, the peak at 20 % of them: 1/25, 1, 1/250,000
        rise = (PEAK * steps + 1) / (steps + 1)
        return OneCycleLR(
            optimizer, list(stage.rates), total_steps=steps + 1, pct_start=rise, cycle_momentum=False, final_div_factor=1e4
        )
    parts: list[LRScheduler] = []
    if warm := warmup_steps(options, steps):
        parts.append(LinearLR(optimizer, start_factor=1 / warm, total_iters=warm - 1))
    if options.schedule == "cosine":
        parts.append(CosineAnnealingLR(optimizer, T_max=steps))
    if options.schedule == "steps":
        at = [epoch * steps_per_epoch for epoch in options.milestones]
        parts.append(MultiStepLR(optimizer, at, gamma=0.1 if options.factor is None else options.factor))
    return ChainedScheduler(parts or [ConstantLR(optimizer, factor=1.0)])


def warmup_steps(options: Training, steps: int) -> int:
    """Steps in which the rate rises linearly to its full value; at least 1 if there is a warm-up."""
    warmup = options.warmup
    if warmup is None:
        warmup = COSINE_WARMUP if options.schedule == "cosine" else 0.0
    return max(1, round(warmup * steps if warmup < 1 else warmup)) if warmup else 0


class StagedSchedule(LRScheduler):
    """One of PyTorch's schedulers for each stage, with its rates and steps; each starts where the one before it ends.

    PyTorch's ``SequentialLR`` cannot: its stages share their peak rates and cannot be chained schedulers.

    Args:
        stages: in order; after the last one its scheduler goes on.
        steps_per_epoch: for milestones, which are counted in epochs of their stage.
    """

    def __init__(self, optimizer: Optimizer, options: Training, stages: Sequence[Stage], steps_per_epoch: int) -> None:
        self.optimizer, self.options, self.stages = optimizer, options, list(stages)
        self.steps_per_epoch = steps_per_epoch
        self._begin(0)

    def _begin(self, number: int) -> None:
        self.number, self.taken = number, 0
        self.inner = scheduler(self.optimizer, self.options, self.stages[number], self.steps_per_epoch)

    def step(self, epoch: int | None = None) -> None:
        """After each step of the optimizer."""
        self.taken += 1
        if self.taken == self.stages[self.number].steps and self.number + 1 < len(self.stages):
            self._begin(self.number + 1)
        else:
            self.inner.step()

    def get_last_lr(self) -> list[Any]:
        """Learning rate of each parameter group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"number": self.number, "taken": self.taken, "inner": self.inner.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the result of :meth:`state_dict`; sets the optimizer's learning rates."""
        self._begin(state_dict["number"])
        self.taken = state_dict["taken"]
        self.inner.load_state_dict(dict(state_dict["inner"]))
        for group, rate in zip(self.optimizer.param_groups, self.inner.get_last_lr(), strict=True):
            group["lr"] = rate
