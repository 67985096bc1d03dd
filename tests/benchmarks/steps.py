"""Steps of known memory, in a module that a fresh process imports fast."""

import os

import torch

from benchmarks.harness import MIB
from benchmarks.memory import Step


def keeper(mib: int, saved_mib: int) -> Step:
    """Holds a weight of ``saved_mib``, saves as much for a backward (the result of exp), takes ``mib`` more for a moment."""
    weight = torch.ones(saved_mib * MIB // 4, requires_grad=True)

    def run() -> float:
        grown = weight.exp()
        torch.ones(mib * MIB // 4)
        return float(grown[0].detach())

    return Step(run, [weight])


def killed() -> Step:
    """Ends its process, as the system does where memory is short."""
    os._exit(1)
