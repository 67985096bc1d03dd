"""One image, many questions: a new prediction after a label is set, and all single what-ifs of an image."""

import statistics
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from benchmarks.exported import exported
from benchmarks.harness import Options, interleave, ratios, say, spread, verdict
from benchmarks.machine import WITHOUT_BFLOAT16, bfloat16_is_timed, operations, reached
from benchmarks.models import Literal, paper_model
from ctran import methods, registry
from ctran.model import CTran, Method
from ctran.model.fast import fast
from ctran.training.pipeline import build_tables
from ctran.training.recipe import read_recipe
from ctran.training.recipe_files import find_recipe

TITLE = "One image, many questions"
TARGET = (
    "ResNet-101, 576 px, 80 labels. After a label is set, image already seen: at least 10 x faster than a literal full "
    "forward, 40 x with `image_first`; under 40 ms for the demo's model. All 160 what-if states of an image: at least 10 x "
    "faster than 160 literal forwards (8 are timed, and scaled), 30 x with `image_first`."
)
TIMED = 8
"""Literal forwards that stand for all what-ifs."""
LEAST = {"set": {"full": 10, "image_first": 40}, "what-ifs": {"full": 10, "image_first": 30}}
DEMO_MS = 40


def what_ifs(num_labels: int) -> Tensor:
    """Each label told absent, then each told present, the others unknown: ``[2 L, L]``."""
    return torch.cat([torch.eye(num_labels, dtype=torch.long), 2 * torch.eye(num_labels, dtype=torch.long)])


def one_set(num_labels: int) -> Tensor:
    """The state after a click: one label present, ``[1, L]``."""
    return what_ifs(num_labels)[-1:]


def race(num_labels: int, side: int, options: Options) -> dict[str, Any]:
    """Times of a click and of all what-ifs, by the literal model, the fast copy and OpenVINO (a click in float32 too)."""
    image = torch.randn(1, 3, side, side)
    single, many = one_set(num_labels), what_ifs(num_labels)
    full = paper_model(num_labels=num_labels, tiny=options.tiny)
    literal = Literal(full).eval()
    clicks: dict[str, Callable[[], Tensor]] = {"literal": lambda: literal(image, single)}
    whole: dict[str, Callable[[], Tensor]] = {"literal": lambda: torch.cat([literal(image, row[None]) for row in many[:TIMED]])}
    counted: dict[str, int] = {}
    for scheme in ("full", "image_first"):
        model = full if scheme == "full" else paper_model(num_labels=num_labels, tiny=options.tiny, attention=scheme)
        for name, own in makes(scheme, model, side, options).items():
            seen = own.prepare(own.encode_images(image))
            clicks[name] = lambda own=own, seen=seen: own.predict_labels(seen, single)
            if name != scheme:  # float32 takes minutes and no target asks for it
                whole[name] = lambda own=own: own.predict_labels(own.prepare(own.encode_images(image)), many)
        counted |= {n: operations(run) for n, run in clicks.items() if n in (scheme, f"{scheme}, fast")}
    counted["literal"] = operations(clicks["literal"])
    apart = float((clicks["full"]() - clicks["literal"]()).abs().max())
    if not apart < 1e-3:  # NaN too
        raise SystemExit(f"the library's logits differ from the literal model's by {apart}")
    say("  a label is set:")
    set_times = interleave(clicks, options.repeats)
    say(f"  {len(many)} what-ifs (literal: {TIMED}):")
    many_times = interleave(whole, max(1, min(options.repeats, 3)))
    many_times["literal"] = [t * len(many) / TIMED for t in many_times["literal"]]
    return {"set": set_times, "what-ifs": many_times, "operations": counted, "states": len(many)}


def makes(scheme: str, model: CTran, side: int, options: Options) -> dict[str, Method]:
    """The model, and what the library makes of it. Toys are not exported: that has a separate test."""
    found: dict[str, Method] = {scheme: model}
    if bfloat16_is_timed(options):
        found[f"{scheme}, fast"] = fast(model)
    if not options.tiny:
        with TemporaryDirectory() as folder:
            found[f"{scheme}, OpenVINO int8"] = exported(model, side, Path(folder), "openvino", int8=True)
    return found


def demo_model() -> tuple[CTran, int]:
    """The demo's model with random weights, and the side of its images."""
    recipe = read_recipe(find_recipe("demo"), [])
    labels = build_tables(recipe)["train"].labels
    model = registry.find(methods, recipe.method).build(recipe.model, labels).eval()
    return model, recipe.model.image_size


def click(model: CTran, side: int, repeats: int) -> list[float]:
    """Seconds of an answer after one label was set, image seen already, float32, as a session has it."""
    seen = model.prepare(model.encode_images(torch.randn(1, 3, side, side)))
    states = one_set(model.classifier.weight.shape[0])
    return interleave({"demo": lambda: model.predict_labels(seen, states)}, 10 * repeats)["demo"]


def run(options: Options) -> dict[str, Any]:
    num_labels, side = (5, 64) if options.tiny else (80, 576)
    demo = (paper_model(num_labels=num_labels, tiny=True), side) if options.tiny else demo_model()
    with torch.inference_mode():
        found = race(num_labels, side, options)
        return found | {"demo": click(*demo, options.repeats)}


def rows(found: dict[str, Any], kind: str, title: str, limit: dict[str, float]) -> list[str]:
    """One race as rows of the table."""
    times, lines = found[kind], []
    for name, own in times.items():
        scheme, _, way = name.partition(", ")
        gain = ratios(times["literal"], own)
        least = LEAST[kind].get(scheme) if way else None
        goal = verdict(statistics.median(gain), least=least, unit=" x") if least else ""
        share = ""
        if kind == "set" and "int8" not in way:  # the ceiling is of floating-point products
            bound = limit["bfloat16" if way else "float32"]
            share = reached(found["operations"][name], statistics.median(own), bound)
        lines.append(f"| {title} | {name} | {spread(own)} | {spread(gain)} | {goal} | {share} |")
    return lines


def bounds(result: dict[str, Any]) -> str:
    """What the processor's own limit leaves to a click in bfloat16."""
    if not any(name.endswith(", fast") for name in result["set"]):
        return WITHOUT_BFLOAT16
    literal, limit = statistics.median(result["set"]["literal"]), result["ceiling"]["bfloat16"]
    most = {s: literal / (result["operations"][f"{s}, fast"] / limit / 1e9) for s in LEAST["set"]}
    each = " and ".join(f"{ratio:.3g} x with `{scheme}`" for scheme, ratio in most.items())
    return f"At the ceiling of bfloat16 a click would be {each}; what is asked beyond takes int8 (`ctran export --int8`)."


def table(result: dict[str, Any]) -> str:
    demo = [1e3 * t for t in result["demo"]]
    lines = [
        "| question | model, attention | seconds | times as fast | target | of the ceiling |",
        "|---|---|---|---|---|---|",
        *rows(result, "set", "a label is set", result["ceiling"]),
        *rows(result, "what-ifs", f"{result['states']} what-ifs, image included", result["ceiling"]),
        "",
        bounds(result),
        "",
        f"The demo's model, a label is set: {spread(demo)} ms ({verdict(statistics.median(demo), most=DEMO_MS, unit=' ms')}).",
    ]
    return "\n".join(lines)
