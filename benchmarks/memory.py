"""Memory of a step, measured in a fresh process: what is there before and after it, and what it takes meanwhile."""

import ctypes
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.harness import GIB, MIB, Options, say, seconds
from benchmarks.machine import memory_of_machine


@dataclass(frozen=True)
class Step:
    """Something whose memory is measured.

    Args:
        run: the step.
        held: tensors that are there before and after it: parameters, gradients, optimiser state.
    """

    run: Callable[[], object]
    held: Sequence[Tensor] = ()


@dataclass(frozen=True)
class Memory:
    """Bytes that one step took, in a process of its own.

    Args:
        held: size of :attr:`Step.held`.
        activations: by how much the process grew during the step; at least ``saved``, which pages that it had already can hide.
        saved: of these, what was kept from the forward for the backward, counted exactly (each storage once).
        seconds: of the step, the first of its process.
    """

    held: int
    activations: int
    saved: int
    seconds: float


def peak(memory: Mapping[str, Any]) -> int:
    """What a step needs in all, apart from the libraries: ``held + activations``."""
    return memory["held"] + memory["activations"]


def peak_memory(build: Callable[..., Step], *arguments: Any, options: Options) -> dict[str, Any]:
    """:class:`Memory` of the step that ``build(*arguments)`` makes, as plain data.

    Args:
        build: a function of a module (the child process finds it by its name).
        options: number of threads; toys are measured in this process, as starting another takes seconds.

    Raises:
        MemoryError: the child was ended, as a rule by the system for want of memory.
    """
    if options.tiny:
        return asdict(_measure(build, arguments, options.threads))
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            found = pool.submit(_measure, build, arguments, options.threads).result()
        except BrokenProcessPool:
            raise MemoryError(
                f"the process that measured {build.__name__}{arguments} was ended, which its message above "
                f"explains, or too little memory. This machine has {memory_of_machine() / GIB:.0f} GiB; try a smaller size"
            ) from None
    say(f"  {build.__name__}{arguments}: {found.activations / MIB:.0f} MiB of activations, {found.held / MIB:.0f} held")
    return asdict(found)


def _measure(build: Callable[..., Step], arguments: tuple[Any, ...], threads: int) -> Memory:
    torch.set_num_threads(threads)
    _return_memory_at_once()
    step = build(*arguments)
    held = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in step.held}
    saved: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in held:  # weights are saved too, but take no room of their own
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    before = _start_of_peak()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        time_s = seconds(step.run)
    kept = sum(saved.values())
    return Memory(sum(held.values()), max(kept, _status("VmHWM") - before), kept, time_s)


def _return_memory_at_once() -> None:
    """Tell glibc to hand blocks above 64 KiB back when they are freed: kept ones would hide the step's growth."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # other C libraries do not keep as much
        threshold = -3  # M_MMAP_THRESHOLD; setting it also ends its growth
        mallopt(threshold, 65_536)


def _start_of_peak() -> int:
    """Forget the peak so far; resident bytes now."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError as error:  # some containers forbid it
        say(f"  the peak so far could not be forgotten ({error}); a peak while the model was built would count")
    return _status("VmRSS")


def _status(name: str) -> int:
    """A line of ``/proc/self/status`` in bytes."""
    path = Path("/proc/self/status")
    if not path.exists():
        raise OSError(f"{path} not found: memory is measured on Linux only; run this benchmark there")
    line = next(row for row in path.read_text().splitlines() if row.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def training_tensors(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Parameters, gradients (made here, zero) and the optimiser's state (made by a step without effect)."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for p in parameters:
        p.grad = torch.zeros_like(p)
    optimizer.step()
    state = [t for row in optimizer.state.values() for t in row.values() if isinstance(t, Tensor)]
    grads = [p.grad for p in parameters if p.grad is not None]
    return [*model.parameters(), *model.buffers(), *grads, *state]
