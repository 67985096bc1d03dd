"""Every benchmark runs at toy sizes, and its table can be read."""

import json
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import __main__ as program
from benchmarks import (
    attention,
    coco_table,
    demo_profile,
    forward,
    heatmap_page,
    heatmaps,
    labels,
    metrics,
    rounding,
    what_if,
)
from benchmarks.harness import Options
from benchmarks.machine import WITHOUT_BFLOAT16
from ctran.model import CTran
from ctran.training.recipe import read_recipe
from ctran.training.recipe_files import find_recipe
from tests.conftest import TOY, draw_folder

CEILING = {"float32": 100.0, "bfloat16": 300.0}
TINY = Options(repeats=2, threads=1, tiny=True)


def through_json(result: dict[str, Any]) -> dict[str, Any]:
    """As the page gets it."""
    return json.loads(json.dumps(result, allow_nan=False)) | {"ceiling": CEILING}


def check_table(text: str) -> None:
    """Every row of a table has as many cells as its head."""
    for block in text.split("\n\n"):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        assert len({row.count("|") for row in rows}) <= 1, block


@pytest.mark.parametrize("name", ["forward", "what_if", "train_step", "head_memory", "labels"])
def test_a_benchmark_runs_and_writes_its_table(name: str):
    module = import_module(f"benchmarks.{name}")
    text = module.table(through_json(module.run(TINY)))
    check_table(text)
    assert "literal" in text
    assert "reached" in text or "missed" in text


@pytest.mark.parametrize("name", ["forward", "what_if", "train_step"])
def test_a_table_without_the_rows_in_bfloat16_states_that_they_are_left_out(name: str):
    def rounded(row: str) -> bool:
        return "fast" in row or "bf16" in row

    def without(found: Any) -> Any:
        if isinstance(found, dict):
            return {key: without(value) for key, value in found.items() if not rounded(key)}
        return [without(each) for each in found] if isinstance(found, list) else found

    module = import_module(f"benchmarks.{name}")
    whole = json.loads((program.DOCS / "performance.json").read_text(encoding="utf-8"))[name]["result"] | {"ceiling": CEILING}
    assert WITHOUT_BFLOAT16 not in module.table(whole)
    text = module.table(without(whole))
    check_table(text)
    assert WITHOUT_BFLOAT16 in text


@pytest.mark.usefixtures("unrendered")
def test_the_demo_s_phases_are_those_of_the_command(tmp_path: Path):
    data = ["--source", "imagefolder", "--data.root", str(draw_folder(tmp_path / "pictures")), "--data.absent", "negative"]
    result = demo_profile.measure(read_recipe(find_recipe("demo"), [*data, *TOY, "--model.separate_epochs", "1"]))
    assert all(spent > 0 for spent in result["phases"].values())
    text = demo_profile.table(through_json(result))
    check_table(text)
    for name in result["phases"]:
        assert f"| {name} |" in text
    assert str(tmp_path) not in text
    assert len(result["functions"]) == demo_profile.TOP


def test_what_ifs_set_each_label_both_ways_and_no_other():
    states = what_if.what_ifs(3)
    assert states.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [2, 0, 0], [0, 2, 0], [0, 0, 2]]


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_the_exponent_of_a_power_is_found(power: float):
    sizes = [1000, 2000, 10_000]
    assert labels.exponent(sizes, [3e-6 * size**power for size in sizes]) == pytest.approx(power)


def test_logits_that_are_not_those_of_the_yardstick_stop_the_race():
    wrong = {"literal": lambda images, states: states.float(), "fast": lambda images, states: 3 - states.float()}
    with pytest.raises(SystemExit, match="logits differ from the literal model's"):
        forward.race(wrong, num_labels=5, batch=2, side=8, repeats=1)


def test_the_largest_change_of_the_demo_s_accuracy_is_printed():
    found = {"pictures": 9, "mAP": {"float32": [50.0, 60.0, 65.0, 70.0], "fast": [50.05, 59.8, 65.0, 70.0]}}
    assert "| fast | 50.05 | 59.80 | 65.00 | 70.00 | 0.20 (at most 0.1 points: **missed**) |" in rounding.table({"demo": found})
    assert "not there" in rounding.table({"demo": None})


def test_each_rounded_model_rounds_its_own_part(model: CTran, images: torch.Tensor):
    exact, *others = rounding.models(model).values()
    states = torch.zeros(3, 7, dtype=torch.long)
    with torch.inference_mode():
        tokens, logits = exact.encode_images(images).tokens, exact(images, states)
        for name, other in zip(("fast", "autocast", "encoder"), others, strict=True):
            assert torch.equal(other.encode_images(images).tokens.float(), tokens) == (name == "encoder")
            assert 0 < (other(images, states).float() - logits).abs().max() < 0.1, name


def test_the_page_names_what_was_not_measured():
    text = program.page({})
    for name in program.NAMES:
        assert f"Not measured yet: `python -m benchmarks {name}`" in text


def test_start_up_is_measured_in_fresh_processes_against_its_targets():
    from benchmarks import startup

    result = startup.run(Options(repeats=1, threads=1, tiny=True))
    text = startup.table(through_json(result))
    check_table(text)
    assert "`ctran --version`" in text and "at most 0.3 s" in text and "predict MODEL" not in text
    assert all(wall > 0 and cpu > 0 for found in result["rounds"].values() for wall, cpu in found)


def test_a_prediction_s_time_is_divided_among_the_libraries():
    from benchmarks import startup

    rounds = {startup.TORCH: [[9, 2.5]], startup.TIMM: [[9, 3.5]], startup.PREDICT: [[9, 4.0]]}
    text = startup.table({"rounds": rounds})
    check_table(text)
    assert "Of the 4.00 s" in text and "takes 2.50 s" in text and "1.00 s; the rest, 0.50 s" in text


@pytest.mark.parametrize("name", ["attention", "metrics", "coco_table", "heatmaps", "performance"])
def test_a_page_of_figures_is_what_its_program_writes(name: str):
    experiments = program.DOCS / "experiments"
    if name == "performance":
        assert program.page(program.read(program.DOCS)) == (program.DOCS / "performance.md").read_text(encoding="utf-8")
        return
    figures = json.loads((experiments / f"{name.replace('_', '-')}.json").read_text(encoding="utf-8"))
    made = {
        "attention": attention.page,
        "metrics": metrics.document,
        "coco_table": coco_table.document,
        "heatmaps": partial(heatmap_page.page, small=heatmaps.SMALL, folder=experiments),
    }[name](figures)
    assert made == (experiments / f"{name.replace('_', '-')}.md").read_text(encoding="utf-8")


def test_a_collection_is_measured_beside_a_plain_loop_and_its_cost_follows():
    from benchmarks import collection

    result = collection.run(TINY)
    text = collection.table(through_json(result))
    check_table(text)
    for name in ("one by one", "plain loop", "collection, float32, 1 workers", "decoding alone, 1 workers", "model alone"):
        assert f"| {name} |" in text
    assert "at least 1.9 x" in text and "at least 90 %" in text and result["bytes written"] > 0
    assert collection.cost(7200, rate=2) == 1 and collection.cost(7200, rate=2, machines=4) == 0.25
