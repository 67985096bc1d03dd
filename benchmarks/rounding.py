"""What bfloat16 does to the mAP of the demo's model: which part of the network the change comes from."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.harness import Options, say, verdict
from benchmarks.studies import DEMO, scores
from ctran.folders.tagger import Tagger
from ctran.model import Features, Method
from ctran.model.fast import fast
from ctran.training.pipeline import build_tables
from ctran.training.recipe import read_run

TITLE = "Rounding"
TARGET = "`fast` (bfloat16) leaves mAP of the demo's model within 0.1 points of float32."
APART = 0.1
SHARES = (0.0, 0.25, 0.5, 0.75)


def models(exact: Method) -> dict[str, Method]:
    """The model, its fast copy, and copies in which one part alone is rounded."""
    return {
        "float32": exact,
        "fast: batch norms folded, backbone and encoder in bfloat16": fast(exact),
        "batch norms kept in float32, backbone by autocast as in training": by_autocast(exact),
        "backbone in float32, encoder in bfloat16": encoder_alone(exact),
    }


def by_autocast(exact: Method) -> Method:
    """A copy whose slow half computes as mixed-precision training does."""
    mixed = copy.deepcopy(exact).eval()

    def encode_images(images: Tensor) -> Features:
        with torch.autocast("cpu", torch.bfloat16):
            found = exact.encode_images(images)
        return replace(found, tokens=found.tokens.float())

    mixed.encode_images = encode_images
    return mixed


def encoder_alone(exact: Method) -> Method:
    """A copy of which all that costs time but the backbone computes in bfloat16."""
    rounded = copy.deepcopy(exact).eval()
    for name in set(rounded.heavy) - {"backbone"}:
        rounded.get_submodule(name).to(torch.bfloat16)
    return rounded


def accuracy(run: Path) -> dict[str, Any] | None:
    """mAP on ``test`` of a finished run at each share of known labels; None where there is no run."""
    if not (run / "finished.json").exists():
        say(f"  {run} is not there: make demo trains it, then mAP is compared")
        return None
    tagger, table = Tagger.load(run), build_tables(read_run(run))["test"]
    found = dict[str, list[float]]()
    for name, model in models(tagger.model).items():
        found[name] = scores(model, tagger, table, SHARES)
        say(f"  {name}: mAP {found[name]}")
    return {"pictures": len(table), "mAP": found}


def run(options: Options) -> dict[str, Any]:
    return {"demo": None if options.tiny else accuracy(DEMO)}


def table(result: dict[str, Any]) -> str:
    if (found := result["demo"]) is None:
        return "The demo's model was not there, so its mAP was not compared (`make demo`, then again)."
    exact = found["mAP"]["float32"]
    lines = ["| the demo's model | " + " | ".join(f"{100 * share:g} % known" for share in SHARES) + " | largest change |"]
    lines.append("|---" * (len(SHARES) + 2) + "|")
    for name, values in found["mAP"].items():
        apart = max(abs(a - b) for a, b in zip(exact, values, strict=True))
        goal = f"{apart:.2f} ({verdict(apart, most=APART, unit=' points')})" if name != "float32" else ""
        lines.append("| " + " | ".join([name, *(f"{value:.2f}" for value in values), goal]) + " |")
    return "\n".join([*lines, "", f"mAP in percent on {found['pictures']:,} test pictures."])
