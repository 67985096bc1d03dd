"""How near training comes to the exact posterior of the planted world, by training size.

    python -m benchmarks.planted                 about 25 minutes on two CPU cores; goes on where it was stopped
    python -m benchmarks.planted --plot-only     draw the figure again

Each size is one run of the recipe ``planted`` (``runs/planted/SIZE``), with more epochs where there are fewer pictures. Writes
``docs/experiments/planted.json`` after each, and ``planted.png``. Divergences are in nats a label, means over the target labels
that are not known.
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

from ctran.analysis.predict_table import predict_table
from ctran.data.planted_world import World, kl
from ctran.data.sources import planted
from ctran.data.table import SampleTable
from ctran.folders.tagger import Tagger
from ctran.labels import LabelState
from ctran.masking import EvalSetting
from ctran.training.fit import fit
from ctran.training.recipe import Recipe, read_recipe
from ctran.training.recipe_files import find_recipe
from ctran.training.run_folder import write_json

SIZES = (500, 1000, 2000, 4000, 8000)
SHARES = (0.0, 0.25, 0.5, 0.75)
TEST = 1000
SEEN_PICTURES = 96_000  # in training, all epochs together, unless that takes more than 40
SEEN = 0.9  # a drawn object counts as recognised from this probability on, told nothing
DOCS = Path(__file__).parents[1] / "docs" / "experiments"


def asked(states: np.ndarray, table: SampleTable) -> np.ndarray:
    """Entries that count: target labels that the model was not told."""
    return (states == LabelState.UNKNOWN) & table.labels.targets.numpy()


def answers(tagger: Tagger, table: SampleTable) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """States and the model's probabilities at each known share."""
    _, found = predict_table(tagger, table, [EvalSetting(share) for share in SHARES], batch_size=64)
    return [a.states.cpu().numpy() for a in found], [a.logits.cpu().double().sigmoid().numpy() for a in found]


def measure(tagger: Tagger, table: SampleTable, world: World) -> dict[str, Any]:
    """Divergence from the exact posterior at each known share, and how well drawn objects are recognised."""
    drawn = planted.drawn(table)
    states, probabilities = answers(tagger, table)
    missed = drawn & (probabilities[0] < SEEN)
    clean = ~missed.any(1, keepdims=True)
    rows = []
    for share, told, p in zip(SHARES, states, probabilities, strict=True):
        exact, blind = world.posterior(drawn, told), world.posterior(drawn, np.zeros_like(told))
        error, ignoring, entries = kl(exact, p), kl(exact, blind), asked(told, table)
        parts = {"all": entries, "not_drawn": entries & ~drawn, "drawn": entries & drawn, "all_seen": entries & clean}
        rows.append(
            {
                "known_share": share,
                "entries": {k: int(m.sum()) for k, m in parts.items()},
                "kl": {k: float(error[m].mean()) for k, m in parts.items()},
                "kl_ignoring_known": {k: float(ignoring[m].mean()) for k, m in parts.items()},
            }
        )
    names = table.labels.names
    recall = {n: float(1 - missed[:, i].sum() / drawn[:, i].sum()) for i, n in enumerate(names) if drawn[:, i].any()}
    return {"settings": rows, "recognised": recall, "recognised_all": float(1 - missed.sum() / drawn.sum())}


def run(recipe: Recipe, folder: Path) -> Tagger:
    """Train, go on, or just load: whatever is left to do."""
    if not (folder / "metrics.json").exists():
        fit(recipe, folder, resume=(folder / "last.ckpt").exists())
    return Tagger.load(folder)


def prior_of(tagger: Tagger) -> np.ndarray:
    """Probabilities of a model without image that is told nothing."""
    side = tagger.preprocessing.size
    with torch.no_grad():
        states = torch.zeros(1, len(tagger.labels), dtype=torch.long)
        return tagger.model(torch.zeros(1, 3, side, side), states).sigmoid()[0].double().numpy()


def study(sizes: Sequence[int], runs: Path, flags: Sequence[str]) -> dict[str, Any]:
    """All sizes, then the ablation without image on the largest; what is in the JSON file already is not repeated."""
    path = DOCS / "planted.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"sizes": {}}
    settings = read_recipe(find_recipe("planted"), flags).data
    table = planted.build(dataclasses.replace(settings, train=1, val=1, test=TEST))["test"]
    found["world"] = {
        "prevalence": dict(zip(table.labels.names, planted.world(settings).prevalence.tolist(), strict=True)),
        "test_pictures": TEST,
        "drawn_a_picture": float(planted.drawn(table).sum(1).mean()),
    }
    for size in sizes:
        if str(size) in found["sizes"]:
            continue
        sized = ["--data.train", str(size), "--training.epochs", str(min(40, SEEN_PICTURES // size))]
        recipe = read_recipe(find_recipe("planted"), [*sized, *flags])
        tagger = run(recipe, runs / str(size))
        found["sizes"][str(size)] = measure(tagger, table, planted.world(settings))
        write_json(path, found)
        print(size, json.dumps(found["sizes"][str(size)]["settings"][2]["kl"]), flush=True)
    if "no_image" not in found:
        largest = ["--data.train", str(max(sizes)), "--model.use_image", "false"]
        recipe = read_recipe(find_recipe("planted"), [*largest, *flags])
        prior = prior_of(run(recipe, runs / "no_image"))
        truth = planted.build(recipe.data)["train"].truth
        share = (truth.counts()[LabelState.POSITIVE].double() / len(truth)).numpy()
        found["no_image"] = {"predicted": prior.tolist(), "training_prevalence": share.tolist()}
        write_json(path, found)
    return found


def table(found: dict[str, Any]) -> str:
    """Markdown: divergence at each size and known share, and what ignoring the known labels costs."""
    lines = ["| training pictures | " + " | ".join(f"{100 * s:g} %" for s in SHARES) + " |", "|---|---|---|---|---|"]
    rows = {size: found["sizes"][str(size)]["settings"] for size in sorted(map(int, found["sizes"]))}
    for size, settings in rows.items():
        lines.append(f"| {size:,} | " + " | ".join(f"{s['kl']['all']:.4f}" for s in settings) + " |")
    ignoring = next(iter(rows.values()))
    lines.append("| ignoring the known labels | " + " | ".join(f"{s['kl_ignoring_known']['all']:.4f}" for s in ignoring) + " |")
    return "\n".join(lines)


def plot(found: dict[str, Any], path: Path) -> None:
    """Divergence against training size, one line a known share; what ignoring the known labels costs, dotted."""
    sizes = sorted(map(int, found["sizes"]))
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for number, share in enumerate(SHARES):
        rows = [found["sizes"][str(n)]["settings"][number] for n in sizes]
        (line,) = axes.loglog(sizes, [r["kl"]["all"] for r in rows], "o-", label=f"{100 * share:g} % known")
        if share:
            axes.axhline(rows[0]["kl_ignoring_known"]["all"], color=line.get_color(), linestyle=":", linewidth=1)
    axes.axhline(0.02, color="black", linewidth=0.8)
    axes.text(sizes[0], 0.0205, "target at 50 % known", fontsize=8)
    axes.set(xlabel="training pictures", ylabel="KL from the exact posterior (nats a label)")
    axes.set_xticks(sizes, [str(n) for n in sizes], minor=False)
    axes.set_xticks([], minor=True)
    axes.set_title("Planted world (dotted: cost of ignoring the known labels)", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--runs", type=Path, default=Path("runs/planted"), help="where the run folders are")
    parser.add_argument("--plot-only", action="store_true")
    options, flags = parser.parse_known_args()
    path = DOCS / "planted.json"
    found = json.loads(path.read_text()) if options.plot_only else study(options.sizes, options.runs, flags)
    plot(found, DOCS / "planted.png")
    print(table(found))


if __name__ == "__main__":
    main()
