"""How near methods come to the exact posterior of a planted world, by training size.

    python -m benchmarks.planted --world planted             C-Tran, pairwise and linear; goes on where it was stopped
    python -m benchmarks.planted --world planted_scenes      the world where pairs of labels are not enough
    python -m benchmarks.planted --world planted_scenes --methods auto --sizes 8000
    python -m benchmarks.planted --world planted_scenes --limits       the best model of pairs alone, without pictures: a minute
    python -m benchmarks.planted --world planted_scenes --plot-only    draw the figure and print the table again

``ctran`` is the recipe of the world's name and ``auto`` that of this name, both with more epochs where there are fewer
pictures; every other name is a method that is fitted in one step, with the suite's recipe. All have the same image
features: one view a picture, not augmented. Each method and size is one run (``runs/WORLD/METHOD/SIZE``). Writes
``docs/experiments/WORLD.json`` after each, and ``WORLD.png``. Divergences are in nats a label, means over the target
labels that are not known, on 1,000 test pictures. Further flags go to
the recipes.
"""

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from benchmarks.planted_measure import SHARES, limits, measure
from benchmarks.studies import trained
from benchmarks.suite.measure import SIMPLE_RECIPE
from ctran import registry
from ctran.data import sources
from ctran.data.planted_canvas import Canvas, drawn
from ctran.folders.tagger import Tagger
from ctran.labels import LabelState
from ctran.training.recipe import Recipe, read_recipe
from ctran.training.recipe_files import find_recipe
from ctran.training.run_folder import write_json

SIZES = (500, 2000, 8000)
METHODS = ("pairwise", "linear", "ctran", "auto")
OPTIONS = {"linear": ("--model.solver", "lbfgs")}
"""Flags of methods that need some to be fitted in one step."""
SHARED = ("backbone", "weights", "image_size", "fit")
"""Options of the world's recipe that all methods have."""
TEST = {"val": 500, "test": 1000}
"""Pictures that are measured."""
SEEN_PICTURES = 96_000
"""In training, all epochs together, unless that takes more than :data:`MOST_EPOCHS`."""
MOST_EPOCHS = 40
ROUNDING = 1e-6
"""Divergences below are 0 but for rounding, and have no place on a logarithmic axis."""
DOCS = Path(__file__).parents[1] / "docs" / "experiments"


def worlds() -> list[str]:
    """Sources that are planted worlds."""
    return [name for name in registry.files(sources) if issubclass(registry.find(sources, name).Config, Canvas)]


def recipe_for(world: str, method: str, size: int, flags: Sequence[str] = ()) -> Recipe:
    """The recipe of one run. Its test split is small, as the run's report is not what is measured here."""
    sized = ["--data.train", str(size), "--data.test", "20"]
    epochs = ["--training.epochs", str(max(1, min(MOST_EPOCHS, SEEN_PICTURES // size)))]
    if method == "ctran":
        return read_recipe(find_recipe(world), [*sized, *epochs, *flags])
    model = dataclasses.asdict(read_recipe(find_recipe(world)).model)
    same = [flag for key in SHARED for flag in (f"--model.{key}", str(model[key]))]
    plain = ["--training.augmentation", "none", "--training.feature_views", "1"]
    plain += ["--model.inner_maps", "false", "--model.pooling", "mean"]  # as C-Tran has them
    if method == "auto":
        return read_recipe(find_recipe("auto"), ["--source", world, *same, *plain, *sized, *epochs, *flags])
    fitted = ["--method", method, "--source", world, *same, *plain, *OPTIONS.get(method, ())]
    return read_recipe(find_recipe(SIMPLE_RECIPE), [*fitted, *sized, *flags])


def study(
    world: str, methods: Sequence[str], sizes: Sequence[int], runs: Path, folder: Path, split: str, flags: Sequence[str]
) -> None:
    """All sizes and methods; what is in the JSON file already is not repeated."""
    source = registry.find(sources, world)
    settings = read_recipe(find_recipe(world)).data
    model = source.world(settings)
    found = read(folder, world)
    table = source.build(dataclasses.replace(settings, **{"train": 1, "val": 1, "test": 1, split: TEST[split]}))[split]
    found["world"] = {
        "prevalence": dict(zip(table.labels.names, model.prevalence.tolist(), strict=True)),
        f"{split}_pictures": TEST[split],
        "drawn_a_picture": float(drawn(table).sum(1).mean()),
    }
    for size in sizes:
        for method in methods:
            done = found.setdefault("methods", {}).setdefault(method, {})
            if str(size) in done:
                continue
            tagger = trained(recipe_for(world, method, size, flags), runs / world / method / str(size))
            done[str(size)] = measure(tagger, table, model, split)
            write_json(folder / f"{world}.json", found)
            print(size, method, *(f"{row['kl']['all']:.4f}" for row in done[str(size)]["settings"]), flush=True)


def read(folder: Path, world: str) -> dict[str, Any]:
    """Figures so far."""
    path = folder / f"{world}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def without_image(world: str, runs: Path, size: int) -> dict[str, list[float]]:
    """Probabilities of C-Tran without image when nothing is known, and the training prevalence, which they should be."""
    off = ["--model.use_image", "false", "--model.token_dropout", "0", "--training.hide_image", "0"]
    recipe = recipe_for(world, "ctran", size, off)
    tagger = trained(recipe, runs / world / "no_image" / str(size))
    truth = registry.find(sources, world).build(recipe.data)["train"].truth
    share = (truth.counts()[LabelState.POSITIVE].double() / len(truth)).numpy()
    return {"predicted": prior_of(tagger).tolist(), "training_prevalence": share.tolist()}


def prior_of(tagger: Tagger) -> np.ndarray:
    """Probabilities of a model without image when nothing is known."""
    side = tagger.preprocessing.size
    with torch.no_grad():
        states = torch.zeros(1, len(tagger.labels), dtype=torch.long)
        return tagger.model(torch.zeros(1, 3, side, side), states).sigmoid()[0].double().numpy()


def table(found: dict[str, Any]) -> str:
    """Markdown: divergence of each method, size and known share, and the limits."""
    lines = [
        "| method | training pictures | " + " | ".join(f"{100 * s:g} %" for s in SHARES) + " | recognised |",
        "|---" * 7 + "|",
    ]
    methods = found.get("methods", {})
    for method, sizes in methods.items():
        for size in sorted(map(int, sizes)):
            row = sizes[str(size)]
            cells = " | ".join(f"{s['kl']['all']:.4f}" for s in row["settings"])
            lines.append(f"| `{method}` | {size:,} | {cells} | {100 * row['recognised_all']:.0f} % |")
    for key, name in (("pairs", "best model of pairs"), ("ignoring_known", "exact posterior, ignoring the known labels")):
        if "limits" in found:
            lines.append(f"| {name} | | " + " | ".join(f"{row[key]:.4f}" for row in found["limits"]) + " | 100 % |")
    return "\n".join(lines)


def plot(found: dict[str, Any], path: Path) -> None:
    """Divergence against training size, a panel for each known share; limits as horizontal lines."""
    figure = Figure(figsize=(11, 3.4), layout="constrained")
    panels = figure.subplots(1, len(SHARES), sharey=True)
    for number, (share, axes) in enumerate(zip(SHARES, panels, strict=True)):
        for method, rows in found.get("methods", {}).items():
            sizes = sorted(map(int, rows))
            axes.loglog(sizes, [rows[str(n)]["settings"][number]["kl"]["all"] for n in sizes], "o-", label=method)
        for key, style in (("pairs", "--"), ("ignoring_known", ":")):
            value = found["limits"][number][key] if "limits" in found else 0
            if value > ROUNDING:
                axes.axhline(value, color="black", linestyle=style, linewidth=0.9, label=f"limit: {key.replace('_', ' ')}")
        every = sorted({int(n) for rows in found.get("methods", {}).values() for n in rows})
        axes.set_xticks(every, [str(n) for n in every], fontsize=7)
        axes.set_xticks([], minor=True)
        axes.set(xlabel="training pictures", title=f"{100 * share:g} % known")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("KL from the exact posterior\n(nats a label)")
    panels[-1].legend(frameon=False, fontsize=7)
    figure.savefig(path, dpi=120)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", choices=worlds(), default="planted")
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where the run folders are")
    parser.add_argument("--folder", type=Path, default=DOCS, help="of the JSON file and the figure")
    parser.add_argument(
        "--split", choices=tuple(TEST), default="test", help="val for choices of settings, with another --folder"
    )
    parser.add_argument("--limits", action="store_true", help="only the best model of pairs, without pictures")
    parser.add_argument("--no-image", action="store_true", help="only C-Tran without image, at the largest of the sizes")
    parser.add_argument("--plot-only", action="store_true")
    options, flags = parser.parse_known_args(arguments)
    if options.split == "val" and options.folder == DOCS:
        parser.error("--split val is for choices, its figures are not for the page: give another --folder")
    options.folder.mkdir(parents=True, exist_ok=True)
    world, path = options.world, options.folder / f"{options.world}.json"
    if options.limits:
        source, settings = registry.find(sources, world), read_recipe(find_recipe(world)).data
        targets = source.label_space(settings).targets.tolist()
        write_json(path, read(options.folder, world) | {"limits": limits(source.world(settings), targets)})
    elif options.no_image:
        found = without_image(world, options.runs, max(options.sizes))
        write_json(path, read(options.folder, world) | {"no_image": found})
    elif not options.plot_only:
        study(world, options.methods, options.sizes, options.runs, options.folder, options.split, flags)
    found = read(options.folder, world)
    plot(found, path.with_suffix(".png"))
    print(table(found))


if __name__ == "__main__":
    main()
