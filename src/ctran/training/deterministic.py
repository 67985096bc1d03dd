"""Training with deterministic algorithms, so that a recipe and a seed give the same weights again."""

import copy
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from ctran.data.loading import Batch
from ctran.evaluation.evaluate import features_of
from ctran.losses._base import LabelLoss
from ctran.losses.bce import BCE
from ctran.model import Method

WORKSPACE = ":4096:8"
"""Of ``CUBLAS_WORKSPACE_CONFIG``: cuBLAS is deterministic only with one of two workspace sizes."""


@contextmanager
def deterministic(enabled: bool) -> Iterator[None]:
    """Context in which PyTorch uses deterministic algorithms only; afterwards its settings are restored.

    cuDNN chooses its convolutions without timing them, and cuBLAS gets its workspace by ``CUBLAS_WORKSPACE_CONFIG``, which is
    read when CUDA starts. Uninitialised memory is not filled (PyTorch would fill it, which costs time and does not affect
    results).

    Args:
        enabled: False changes nothing.
    """
    if not enabled:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic
    filled, timed = memory.fill_uninitialized_memory, torch.backends.cudnn.benchmark
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", WORKSPACE)
    torch.use_deterministic_algorithms(True)
    memory.fill_uninitialized_memory = False
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        memory.fill_uninitialized_memory = filled
        torch.backends.cudnn.benchmark = timed


def try_step(model: Method, batches: DataLoader[Batch], device: torch.device) -> None:
    """Before training on a GPU: if a step of this model has no deterministic algorithm there, allow others.

    Tried with a copy of the model, on two pictures. On CPU every operation of training has a deterministic algorithm.
    """
    if device.type == "cpu" or not torch.are_deterministic_algorithms_enabled():
        return
    data = batches.dataset
    batch: Batch = data.__getitems__(list(range(min(2, len(data)))))  # pyright: ignore
    batch, tried = batch.to(device), copy.deepcopy(model).to(device).train()

    def step() -> Tensor:
        nothing = torch.zeros_like(batch.truth)
        return LabelLoss(BCE())(tried.predict_labels(features_of(tried, batch), nothing), batch.truth, nothing)

    if lacks_deterministic(step):
        torch.use_deterministic_algorithms(True, warn_only=True)
        warnings.filterwarnings(
            "ignore", message=".*(does not have a deterministic implementation|non-deterministic algorithm).*"
        )


def lacks_deterministic(step: Callable[[], Tensor]) -> bool:
    """Whether an operation of a training step has no deterministic algorithm on its device; names it on stderr.

    Args:
        step: returns a loss; its backward pass is tried as well.
    """
    with deterministic(True):
        try:
            step().backward()
        except RuntimeError as error:
            if "deterministic" not in str(error):
                raise
            name = str(error).split(" does not have")[0].split(" ")[-1]
            what = f"{name} has no deterministic algorithm on this device"
            print(f"warning: {what}: two trainings of one recipe may differ in the last digits", file=sys.stderr)
            return True
    return False
