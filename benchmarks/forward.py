"""From images to logits: the literal model, and what the library makes of it."""

import statistics
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from benchmarks.harness import Options, interleave, ratios, say, spread, verdict
from benchmarks.machine import WITHOUT_BFLOAT16, bfloat16_is_timed, operations, reached
from benchmarks.models import Literal, paper_model
from ctran.model import CTran
from ctran.model.fast import fast
from ctran.training.stored_features import compiler

TITLE = "Forward: images to logits"
TARGET = (
    "ResNet-101, 576 px, 80 labels, batches of 2 and 8: the fast model at least 2.5 x (3 x with batch norms folded and a last "
    "layer of label rows only)."
)
TRIED = """**Where a target is missed.** Two pictures take the library 312 GFLOP; at the ceiling of bfloat16 that alone is
3.1 x, so 3 x would need 96 % of it. int8 goes beyond ([exported models](#exported-models)). What becomes of the demo's mAP:
[rounding](#rounding)."""
"""What was done about missed targets."""
LEAST = {"fast": 3.0, "fast, compiled": 3.0}
"""Ratios to reach."""

Forward = Callable[[Tensor, Tensor], Tensor]


def candidates(model: CTran, *, bfloat16: bool, compiled: bool) -> dict[str, Forward]:
    """Name -> ``(images, states) -> logits``; the first is the yardstick."""
    found: dict[str, Forward] = {"literal": Literal(model).eval(), "library, float32": model}
    if bfloat16:
        found["fast"] = fast(model)
    if bfloat16 and compiled:
        found["fast, compiled"] = torch.compile(fast(model), dynamic=False)
    return found


def race(forwards: Mapping[str, Forward], num_labels: int, batch: int, side: int, repeats: int) -> dict[str, Any]:
    """Times of all candidates on one batch; their largest difference from the yardstick as a share of its spread."""
    images = torch.randn(batch, 3, side, side)
    states = torch.randint(0, 3, (batch, num_labels))
    with torch.inference_mode():
        exact = forwards["literal"](images, states)
        differences = {n: float((f(images, states).float() - exact).abs().max() / exact.std()) for n, f in forwards.items()}
        if not all(d < 1 for d in differences.values()):  # NaN too
            raise SystemExit(
                f"logits differ from the literal model's by more than their spread, or are not finite: {differences}"
            )
        times = interleave({n: lambda f=f: f(images, states) for n, f in forwards.items()}, repeats)
        work = {n: operations(lambda n=n: forwards[n](images, states)) for n in ("literal", "library, float32")}
    return {"batch": batch, "side": side, "times": times, "differences": differences, "operations": work}


def run(options: Options) -> dict[str, Any]:
    num_labels, side = (5, 64) if options.tiny else (80, 576)
    if not (compiled := compiler() is not None and not options.tiny):
        say("  no C++ compiler, or toy sizes: the compiled model is left out")
    model = paper_model(num_labels=num_labels, tiny=options.tiny)
    forwards = candidates(model, bfloat16=bfloat16_is_timed(options), compiled=compiled)
    races = [race(forwards, num_labels, batch, side, options.repeats) for batch in (2, 8)]
    return {"races": races}


def table(result: dict[str, Any]) -> str:
    lines = [
        "| batch | model | seconds | times as fast | target | of the ceiling | logits differ by |",
        "|---|---|---|---|---|---|---|",
    ]
    for found in result["races"]:
        times, work = found["times"], found["operations"]
        for name, own in times.items():
            gain = ratios(times["literal"], own)
            least = LEAST.get(name)
            goal = verdict(statistics.median(gain), least=least, unit=" x") if least else ""
            kind = "float32" if name in work else "bfloat16"
            done = work["literal" if name == "literal" else "library, float32"]
            share = reached(done, statistics.median(own), result["ceiling"][kind])
            off = found["differences"][name]
            cells = (found["batch"], name, spread(own), spread(gain), goal, share, f"{off:.2g}" if name != "literal" else "")
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    differ = (
        "Logits differ by: largest difference from the literal model's, in standard deviations of its logits (random weights)."
    )
    rounded = any("fast" in found["times"] for found in result["races"])
    return "\n".join([*lines, "", differ, "", TRIED if rounded else WITHOUT_BFLOAT16])
