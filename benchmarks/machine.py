"""What the machine can do, and what the figures depend on; operations of a call, and which share of the best it reaches."""

import os
import platform
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import torch

from benchmarks.harness import GIB, Options, say, seconds
from ctran.analysis.cost import multiply_adds
from ctran.devices import fast_in_bfloat16

LIBRARIES = ("torch", "torchvision", "timm", "numpy", "openvino", "onnxruntime")
WITHOUT_BFLOAT16 = (
    "Rows in bfloat16 are left out: this processor has no instructions for it and takes many times as long as in float32."
)


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
    """Floating-point operations of one eager call, two for a multiply-add."""
    return 2 * multiply_adds(run)


def reached(work: float, time_s: float, limit: float) -> str:
    """GFLOP/s and the share of ``limit`` (GFLOP/s), for a cell of a table."""
    rate = work / time_s / 1e9
    return f"{rate:.0f} GFLOP/s, {100 * rate / limit:.0f} %"
