"""Every shipped recipe: what its header says, what it is, and that two steps of it as a toy run on a miniature of its data."""

import dataclasses
import json
import math
import re

import pytest
import timm
import torch
import yaml
from torch.utils.flop_counter import FlopCounterMode

from ctran import methods, registry
from ctran.cli.main import main
from ctran.labels import LabelSpace
from ctran.losses import bce
from ctran.paper.comparison import compare, find_runs
from ctran.paper.published import tables
from ctran.training.pipeline import build_tables
from ctran.training.recipe import Recipe, read_recipe
from ctran.training.recipe_files import find_recipe, name_of, shipped
from tests.data import miniatures
from tests.documents.blocks import ROOT

IN_FOLDERS = [name for name in shipped() if "/" in name]
PAPER = [name for name in IN_FOLDERS if name.startswith("paper/")]
MODERN = [name for name in IN_FOLDERS if name.startswith("modern/")]
COMPARED = [name for name in IN_FOLDERS if name.startswith("compared/")]
MAIN = [f"paper/{name}" for name in ("coco80", "vg500", "news500", "coco1000", "cub312", "voc2007")]
FOUR = ("coco80", "vg500", "news500", "coco1000")
ABLATIONS = [f"{name}-{without}" for name in FOUR for without in ("no-image", "no-lmt")]
SMALL = [
    *("--model.backbone", "test_resnet"),
    *("--model.weights", "none"),
    *("--model.image_size", "96"),  # 3 x 3 image tokens, the least that some methods take
    *("--training.epochs", "1"),
    *("--training.precision", "32-true"),
    *("--training.accelerator", "cpu"),
    *("--training.workers", "0"),
]
"""Smaller, with the layers, loss, masks, augmentation and settings of the recipe."""
SMALL_OPTIONS = {"token_dim": "16", "num_heads": "1", "word_vectors": "random", "wordnet": "labels", "synsets": "[]"}
"""Of the options that the recipe's method has."""


def small(recipe: Recipe) -> list[str]:
    """Flags of a model that is trained in no time, with the recipe's schedule where it is not one of milestones."""
    options = {field.name for field in dataclasses.fields(recipe.model)}
    flags = [flag for key, value in SMALL_OPTIONS.items() if key in options for flag in (f"--model.{key}", value)]
    constant = ["--training.schedule", "constant", "--training.milestones", "[]", "--training.factor", "null"]
    patient = ["--training.patience", "0"]
    return [*SMALL, *flags, *(constant if recipe.training.milestones else []), *(patient if recipe.training.patience else [])]


def read(name: str) -> Recipe:
    return read_recipe(find_recipe(name), ["--data.root", "."])


def header(name: str) -> dict[str, str]:
    """Key -> text of the header; the first line is ``what``."""
    found: dict[str, str] = {}
    for line in find_recipe(name).read_text().splitlines():
        if not line.startswith("#"):
            break
        text = line.removeprefix("#").strip()
        if not found:
            found["what"] = text
        elif match := re.match(r"([A-Z][a-z ]+): ", text):
            found[match[1]] = text[match.end() :].strip()
        else:
            found[list(found)[-1]] += f" {text}"
    return found


def test_the_rows_of_the_paper_and_their_modern_variants_are_there():
    more = {"coco80-layers2", "coco80-layers4", "coco80-positions", "coco80-narrow"}
    both = {name.partition("/")[2] for name in MAIN} | set(ABLATIONS)
    assert {name.partition("/")[2] for name in PAPER} == both | more
    assert {name.partition("/")[2] for name in MODERN} == both


@pytest.mark.parametrize("name", IN_FOLDERS)
def test_a_header_states_command_hardware_hours_published_figure_and_doubts(name):
    said = header(name)
    command = said["Command"].split()
    assert command[:3] == ["ctran", "train", name] and command[3] == "--root"
    assert (
        "GPU of" in said["Hardware"] and re.search(r"[\d.]+ h\b", said["Hardware"]) and "estimated, not run" in said["Hardware"]
    )
    assert re.search(r"\d\d\.\d|\d\.\d|none", said["Published"]) and len(said["Doubts"]) > 20
    if name in MODERN:
        assert said["Not run"].startswith("no figure of it is known") and said["Published"].startswith("none (paper/")
        assert name_of(find_recipe(name)) != name_of(find_recipe(f"paper/{name.partition('/')[2]}"))  # folders of their own


def test_the_published_figures_in_headers_are_those_of_the_tables():
    for table in tables().values():
        for row in table.rows:
            for column, value in zip(table.columns, row.values, strict=True):
                wanted = row.recipe and value is not None and column.metric in ("mAP", "accuracy", "CF1", "OF1", "top3_CF1")
                if wanted:
                    said = header(row.recipe.format(source=column.source))["Published"]
                    assert f"{value:.1f}" in said, f"{row.recipe}, {column.name}"


OURS = "anchored C-Tran"  # the row of docs/experiments/openclipart.json that the recipes tagger and demo train


def measured() -> dict[str, list[str]]:
    """Recipe -> mAP on test of the clip art at 0, 25, 50 and 75 % known, from the raw figures of the experiments."""
    folder = ROOT / "docs/experiments"
    rows = json.loads((folder / "suite.json").read_text())
    suite = {row["method"]: row["mAP"] for row in rows if row["set"] == "openclipart" and row["seed"] == 0}
    runs = json.loads((folder / "openclipart.json").read_text())
    shares = ("0", "25", "50", "75")
    means = {
        row: [sum(seed["test"][share]["mAP"] for seed in runs[row].values()) / len(runs[row]) for share in shares]
        for row in (OURS, "linear")
    }
    found = {"auto": suite["auto"], "quick": suite["quick"], "tagger": means[OURS], "demo": means[OURS]}
    return {name: [f"{value:.1f}" for value in values] for name, values in (found | {"linear": means["linear"]}).items()}


@pytest.mark.parametrize(("name", "figures"), measured().items())
def test_the_figures_of_recipes_for_own_pictures_are_those_measured(name, figures):
    assert f"mAP on test {' / '.join(figures)} when" in header(name)["Expected"]
    rows = [line for line in (ROOT / "docs/recipes.md").read_text().splitlines() if line.startswith(f"| `{name}`")]
    assert len(rows) == (name in ("auto", "quick", "tagger"))
    assert all([cell.strip() for cell in row.split("|")][-5:-1] == figures for row in rows)


@pytest.mark.parametrize("name", IN_FOLDERS)
def test_a_recipe_over_a_base_holds_only_what_differs(name):
    own = yaml.safe_load(find_recipe(name).read_text())
    if base := own.pop("base", None):
        folder = name.partition("/")[0]
        below, this = read(f"{folder}/{base}"), read(name)
        for part, keys in own.items():
            for key, value in keys.items() if isinstance(keys, dict) else [(None, keys)]:
                before, after = (getattr(r, part) for r in (below, this))
                if this.source == below.source and key and hasattr(before, key):
                    assert getattr(before, key) != getattr(after, key), f"{part}.{key} {value} is the base's"


@pytest.mark.parametrize("name", PAPER)
def test_a_recipe_of_the_paper_has_its_values(name):
    recipe = read(name)
    options, model = recipe.training, recipe.model
    assert (options.optimizer, options.learning_rate, options.weight_decay, options.schedule) == ("adam", 1e-5, 0, "constant")
    assert (options.epochs, options.loss, options.precision) == (100, "bce", "32-true")
    assert options.batch_size == (32 if recipe.source == "voc2007" else 16)
    assert options.reduction == ("mean" if recipe.source == "cub312" else "sum") and model.resample == "bilinear"
    assert (options.ema, options.clip_norm, options.all_unknown, options.hide_image, recipe.loss) == (0, 0, 0, 0, bce.Config())
    assert (recipe.method, model.dropout, model.num_heads) == ("ctran", 0.1, 4)
    assert recipe.evaluation.presets == ("ctran",) and recipe.data.select_on == "val"
    assert options.unknown_share == ((1.0, 1.0) if name.endswith("no-lmt") else (0.25, 1.0))
    assert model.use_states != name.endswith("no-lmt") and model.use_image != name.endswith("no-image")
    assert model.num_layers == (int(name[-1]) if "layers" in name else 3)
    assert model.positions == ("sine" if name.endswith("positions") else "none")
    assert model.token_dim == (512 if name.endswith("narrow") else None)
    if recipe.source == "cub312":
        assert (model.backbone, model.image_size, model.fit) == ("inception_v3.tv_in1k", 299, "cut")
        assert (options.augmentation, options.exclusive, options.mask_by) == ("cub299", "bce", "labels")
        assert options.mask_over == "extra"
        assert recipe.evaluation.known_groups == (0, 10, 15, 20) and recipe.evaluation.draws > 1
        return
    assert recipe.evaluation.known_share == (0, 0.25, 0.5, 0.75) and (model.fit, model.centre) == ("squash", 0.9)
    if model.use_image:
        assert (model.backbone, model.image_size, options.augmentation) == ("resnet101.tv_in1k", 576, "ctran576")


@pytest.mark.parametrize("name", MODERN)
def test_a_modern_recipe_is_the_papers_task_with_other_means(name):
    recipe, paper = read(name), read(name.replace("modern", "paper"))
    assert (recipe.source, recipe.data, recipe.evaluation) == (paper.source, paper.data, paper.evaluation)
    assert (recipe.model.use_image, recipe.model.use_states) == (paper.model.use_image, paper.model.use_states)
    assert recipe.training.unknown_share == paper.training.unknown_share
    options = recipe.training
    assert (options.loss, options.optimizer, options.schedule, options.ema) == ("asl", "adamw", "onecycle", 0.9997)
    if recipe.model.use_image:
        assert recipe.model.image_size == (640 if recipe.source == "coco80" else 448)


def test_the_backbones_are_networks_with_weights_that_timm_knows():
    for backbone in {read(name).model.backbone for name in IN_FOLDERS}:
        assert timm.is_model(backbone) and timm.get_pretrained_cfg(backbone).hf_hub_id == f"timm/{backbone}"


SIZES = {
    "coco80": (80, 82_081 - 5000),
    "vg500": (500, 82_904 - 5000),
    "news500": (500, 151_873),
    "coco1000": (1000, 82_783),
    "cub312": (312, 5994 - 1198),
    "voc2007": (20, 5011 - 500),
}
"""Labels, and pictures to train on."""
COUNTED = [name for name in IN_FOLDERS if "GMAC" in header(name)["Hardware"]]


ONE_EACH = [name for name in MAIN if name not in ("paper/news500", "paper/coco1000", "paper/vg500")]  # as coco80
QUICKLY = [pytest.param(name, marks=[] if name in ONE_EACH else pytest.mark.slow) for name in COUNTED]


@pytest.mark.parametrize("name", QUICKLY)
def test_the_cost_in_a_header_is_that_of_the_model_at_its_real_size(name):
    """Counted by PyTorch on tensors without data; a training step is three passes, a GMAC two FLOP."""
    recipe = read(name)
    labels, pictures = SIZES[recipe.source]
    side, space = recipe.model.image_size, LabelSpace(tuple(f"label {i}" for i in range(labels)))
    with torch.device("meta"):  # not counted: a backbone that is cut tries itself where it is built
        model = registry.find(methods, recipe.method).build(recipe.model, space).eval()
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        features = model.encode_images(torch.empty(1, 3, side, side))
        model.predict_labels(features, torch.zeros(1, labels, dtype=torch.long))
    assert features.grid == ((8, 8) if side == 299 else (side // 32, side // 32))  # the paper: 18 x 18
    macs = counter.get_total_flops() / 2
    flop = 3 * 2 * macs * pictures * recipe.training.epochs
    said = header(name)["Hardware"]
    assert f"from {flop:.1e} FLOP ({macs / 1e9:.0f} GMAC a picture".replace("e+", "e") in said
    hours, rate = (float(re.findall(pattern, said)[0]) for pattern in (r"([\d.]+) h\b", r"at (\d+) TFLOP/s"))
    assert hours == pytest.approx(flop / (rate * 1e12) / 3600, abs=0.6)


@pytest.fixture(scope="session")
def miniature(tmp_path_factory):
    """Flags that point a recipe at a tiny copy of its data set, made once."""
    made: dict[str, list[str]] = {}

    def flags(source: str) -> list[str]:
        if source not in made:
            made[source] = miniatures.flags(miniatures.miniature(source, tmp_path_factory.mktemp(source))[1])
        return made[source]

    return flags


QUICK = ("paper/coco80", "paper/voc2007")
RUNS = [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in IN_FOLDERS]


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.usefixtures("unrendered")
def test_a_recipe_runs_two_steps_to_its_metrics_and_finds_its_row(name, miniature, tmp_path):
    recipe = read(name)
    flags = [*miniature(recipe.source), *small(recipe)]
    pictures = len(build_tables(read_recipe(find_recipe(name), flags))["train"])
    steps = ["--training.batch_size", str(math.ceil(pictures / 2)), "--evaluation.draws", str(min(2, recipe.evaluation.draws))]
    run = tmp_path / name.replace("/", "-")
    assert main(["train", name, "--output", str(run), *flags, *steps]) == 0
    assert torch.load(run / "last.ckpt", weights_only=True)["global_step"] == 2
    settings = json.loads((run / "metrics.json").read_text())["settings"]
    assert len(settings) == 4 and all("ctran" in s["published"] for s in settings)
    runs, left_out = find_runs(tmp_path)
    assert [r.folder for r in runs] == [run] and not left_out
    rows = [ours for table in tables().values() for row in compare(table, runs).ours for ours in row]
    of_source = [t for t in tables().values() if recipe.source in {block.source for block in t.blocks}]
    named = {row.recipe.format(source=recipe.source) for table in of_source for row in table.rows if row.recipe}
    assert all(ours.runs == (runs[0],) for ours in rows) and (bool(rows) or name not in named)
    assert bool(rows) or name in COMPARED
