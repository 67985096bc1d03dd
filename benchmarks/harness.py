"""What all benchmarks share: candidates timed in turns in one process, memory of a fresh process, what the machine can do.

Nothing here knows a model. Figures are seconds, bytes and floating-point operations; raw ones go into the results, medians and
ratios are made of them where a table is written.
"""

import ctypes
import multiprocessing
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from ctran.devices import fast_in_bfloat16

LIBRARIES = ("torch", "torchvision", "timm", "numpy", "openvino", "onnxruntime")
GIB, MIB = 2**30, 2**20
WITHOUT_BFLOAT16 = (
    "Rows in bfloat16 are left out: this processor has no instructions for it and takes many times as long as in float32."
)


@dataclass(frozen=True)
class Options:
    """What a run of a benchmark is told.

    Args:
        repeats: timed rounds after one of warming up.
        threads: of PyTorch.
        tiny: toy sizes, which say nothing of speed (for the tests).
    """

    repeats: int = 5
    threads: int = os.cpu_count() or 1
    tiny: bool = False


def say(text: str) -> None:
    """A line of progress on stderr."""
    print(text, file=sys.stderr, flush=True)


# -------------------------------------------------------------------- time


def seconds(run: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def interleave(candidates: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each candidate in each round, in turns, so that whatever disturbs the machine disturbs them alike.

    Args:
        candidates: name -> call; each is called once more before the first round.
    """
    for name, run in candidates.items():
        say(f"  {name}: {seconds(run):.3g} s (warming up)")
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(repeats):
        for name, run in candidates.items():
            times[name].append(seconds(run))
    for name, found in times.items():
        say(f"  {name}: {spread(found)} s")
    return times


def ratios(slow: Sequence[float], fast: Sequence[float]) -> list[float]:
    """How many times as fast the second is, round by round."""
    return [a / b for a, b in zip(slow, fast, strict=True)]


def spread(values: Sequence[float], form: str = ".3g") -> str:
    """Median, and in brackets the least and the greatest."""
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:{form}}" if len(values) == 1 else f"{middle:{form}} ({low:{form}} to {high:{form}})"


def verdict(value: float, least: float | None = None, most: float | None = None, unit: str = "") -> str:
    """A target and whether ``value`` meets it, for a cell of a table."""
    good = (least is None or value >= least) and (most is None or value <= most)
    bounds = [f"{word} {limit:g}{unit}" for word, limit in (("at least", least), ("at most", most)) if limit is not None]
    return f"{' and '.join(bounds)}: {'reached' if good else '**missed**'}"


# ------------------------------------------------------------------ memory


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


# ----------------------------------------------------------------- machine


def memory_of_machine() -> int:
    """Bytes of main memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def machine() -> dict[str, Any]:
    """What the figures depend on: processor, memory, versions, threads."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = version(name)
        except ImportError:  # an extra that is not installed took no part
            continue
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "bf16 instructions": bool(torch.cpu._is_avx512_bf16_supported()),
        "cores": os.cpu_count(),
        "memory_gib": round(memory_of_machine() / GIB, 1),
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), **versions},
    }


def bfloat16_is_timed(options: Options) -> bool:
    """Whether candidates in bfloat16 take part: where the processor computes it in software, a round can take hours."""
    return options.tiny or fast_in_bfloat16(torch.device("cpu"))


def ceiling(most: int = 2048, repeats: int = 7, limit_s: float = 1.0) -> dict[str, float]:
    """GFLOP/s of a product of two square matrices, the best of ``repeats``, in float32 and bfloat16.

    Args:
        most: side of the matrices; a smaller one where a product would take more than ``limit_s`` (17 s in bfloat16 on a
            processor without instructions for it).
        limit_s: seconds.
    """

    def product_s(side: int, dtype: torch.dtype, times: int) -> float:
        a, b = (torch.randn(side, side).to(dtype) for _ in range(2))
        return min(seconds(lambda: torch.mm(a, b)) for _ in range(times))

    found = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        side = affordable(lambda side, dtype=dtype: product_s(side, dtype, 2), most, limit_s)
        found[name] = 2 * side**3 / product_s(side, dtype, repeats + 1) / 1e9
    say(f"  ceiling: {found['float32']:.0f} GFLOP/s float32, {found['bfloat16']:.0f} bfloat16")
    return found


def affordable(product_s: Callable[[int], float], most: int, limit_s: float, least: int = 256) -> int:
    """Side of the largest matrices, ``most`` at most, whose product should take no more than ``limit_s``.

    Args:
        product_s: side -> seconds of a product. Called for sides that double from ``least`` on; twice the side takes about
            eight times as long.
    """
    side = min(least, most)
    while side < most and 8 * product_s(side) <= limit_s:
        side = min(2 * side, most)
    return side


def operations(run: Callable[[], object]) -> int:
    """Floating-point operations of the matrix products and convolutions of one eager call, attention included."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # its kernel is not counted, nor is the fused attention's on CPU
    try:
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            run()
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    return counter.get_total_flops()


def reached(work: float, time_s: float, limit: float) -> str:
    """GFLOP/s and the share of ``limit`` (GFLOP/s), for a cell of a table."""
    rate = work / time_s / 1e9
    return f"{rate:.0f} GFLOP/s, {100 * rate / limit:.0f} %"
