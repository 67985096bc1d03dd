"""What all benchmarks share: candidates timed in turns in one process, and how their figures are written.

Nothing here knows a model. Figures are seconds, bytes and floating-point operations; raw ones go into the results, medians and
ratios are made of them where a table is written. Memory is measured by ``memory``; ``machine`` has what the machine can do.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

GIB, MIB = 2**30, 2**20


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
