"""How time and memory grow with the number of labels."""

import math
import statistics
from typing import Any

import numpy as np
import torch

from benchmarks.harness import GIB, MIB, Options, interleave, spread, verdict
from benchmarks.head_memory import build
from benchmarks.memory import Step, peak, peak_memory
from benchmarks.models import Literal, head_model
from ctran.model import Features

TITLE = "Growth with the number of labels"
TARGET = (
    "20,000 labels train (batch 4, P = 49, D = 256) within 12 GiB and one picture is predicted in under 2 s. Exponents are "
    "slopes of log time and log memory over log L, from 1,000 labels on."
)
DIM, PLACES, BATCH = 256, 49, 4
SIZES = (100, 1000, 2000, 10_000, 20_000)
UP_TO = {"literal": 2000, "full": 20_000, "image_first": 20_000, "latent": 20_000}
"""Labels up to which each is measured: the literal model keeps several matrices of heads x (P + L)^2 numbers in each layer."""
ASYMPTOTIC = 1000
ONCE = 10_000
"""Labels from which on the step whose memory is measured is the one that is timed: it takes minutes where attention is full."""
MOST_GIB, MOST_S = 12, 2


def ask(scheme: str, num_labels: int, dim: int, places: int) -> Step:
    """One picture, seen already, and one row of states."""
    options: dict[str, Any] = {} if scheme == "literal" else {"attention": scheme}
    ours = head_model(num_labels=num_labels, dim=dim, **options)
    model = Literal(ours).eval() if scheme == "literal" else ours
    side = int(places**0.5)
    features = Features(torch.randn(1, places, ours.backbone.channels), (side, side))
    states = torch.randint(0, 3, (1, num_labels))

    def answer() -> float:
        with torch.inference_mode():
            return float(model.predict_labels(features, states).sum())

    return Step(answer, list(model.parameters()))


def run(options: Options) -> dict[str, Any]:
    sizes, dim, places = ((4, 8), 16, 4) if options.tiny else (SIZES, DIM, PLACES)
    found: dict[str, list[dict[str, Any]]] = {scheme: [] for scheme in UP_TO}
    for size in sizes:
        schemes = [scheme for scheme, most in UP_TO.items() if size <= most]
        repeats = options.repeats if size <= ASYMPTOTIC else 1
        steps = {scheme: build(scheme, size, dim, places, BATCH).run for scheme in schemes if size < ONCE}
        train = interleave(steps, repeats)
        answers = {scheme: ask(scheme, size, dim, places).run for scheme in schemes}
        predict = interleave(answers, max(2, repeats))
        del steps, answers
        for scheme in schemes:
            memory = peak_memory(build, scheme, size, dim, places, BATCH, options=options)
            asked = peak_memory(ask, scheme, size, dim, places, options=options)
            row = {
                "labels": size,
                "train": train.get(scheme, [memory["seconds"]]),
                "predict": predict[scheme],
                "memory": memory,
                "predict_memory": asked,
            }
            found[scheme].append(row)
    return {"rows": found}


def exponent(sizes: list[int], values: list[float]) -> float:
    """Slope of the least-squares line through ``log values`` over ``log sizes``; NaN of fewer than two."""
    if len(sizes) < 2:
        return math.nan
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def table(result: dict[str, Any]) -> str:
    lines = [
        "| attention | labels | training step, s | weights, gradients, Adam, activations, MiB | activations, MiB "
        "| one picture, s | its memory, MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    growth = []
    for scheme, rows in result["rows"].items():
        for row in rows:
            cells = (
                scheme,
                f"{row['labels']:,}",
                spread(row["train"]),
                f"{peak(row['memory']) / MIB:,.0f}",
                f"{row['memory']['activations'] / MIB:,.0f}",
                spread(row["predict"]),
                f"{peak(row['predict_memory']) / MIB:,.0f}",
            )
            lines.append("| " + " | ".join(cells) + " |")
        late = [row for row in rows if row["labels"] >= ASYMPTOTIC]
        sizes = [row["labels"] for row in late]
        slopes = [
            exponent(sizes, [statistics.median(row["train"]) for row in late]),
            exponent(sizes, [row["memory"]["activations"] for row in late]),
            exponent(sizes, [statistics.median(row["predict"]) for row in late]),
        ]
        growth.append(f"| {scheme} | " + " | ".join(f"{slope:.2f}" for slope in slopes) + " |")
    lines += [
        "",
        "| attention | exponent of training time | of activations | of one picture's time |",
        "|---|---|---|---|",
        *growth,
    ]
    last = result["rows"]["latent"][-1]
    space, time_s = peak(last["memory"]) / GIB, statistics.median(last["predict"])
    lines += [
        "",
        f"`latent` with {last['labels']:,} labels: a training step takes {space:.1f} GiB "
        f"({verdict(space, most=MOST_GIB, unit=' GiB')}), one picture {time_s:.2f} s "
        f"({verdict(time_s, most=MOST_S, unit=' s')}). Missing rows are too large or too slow for this "
        "machine: literal attention keeps several matrices of heads x (P + L)^2 numbers in each layer. From "
        f"{ONCE:,} labels on a step of training is timed once.",
    ]
    return "\n".join(lines)
