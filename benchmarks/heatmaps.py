"""Whether heat maps point at the thing: ``docs/experiments/heatmaps.md``.

    python -m benchmarks.heatmaps [--parts mosaics-4 mosaics-9 planted] [--split test] [--tries 300] [--run models/openclipart]
    python -m benchmarks.heatmaps --parts --seconds       how long one heat map takes
    python -m benchmarks.heatmaps --parts                 write page and pictures again

The pointing game (Zhang et al., ECCV 2016). *Mosaics*: 4 or 9 pictures of the clip-art library side by side; a try is a label
that exactly one of them has and that the model finds (probability above one half); a map hits where its greatest value lies in
that picture. *Planted*: canvases of the planted world; a try is an object that is drawn and found; a map hits where its
greatest value lies in the object's box. Tries are drawn with a fixed seed; they and their figures are written to
``docs/experiments/heatmaps.json`` one by one and not repeated, so the study goes on where it was stopped. About ten minutes a
part on one core, and as long for the planted model.
"""

import argparse
import json
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks import heatmap_page
from benchmarks.heatmap_games import SEEDS, Canvases, Mosaics, maps_of, scores
from benchmarks.heatmap_time import time_heatmaps
from benchmarks.studies import trained
from ctran.folders.tagger import Tagger
from ctran.training.recipe import read_recipe
from ctran.training.recipe_files import find_recipe
from ctran.training.run_folder import write_json

OUT = Path(__file__).parents[1] / "docs" / "experiments"
MODEL = Path(__file__).parents[1] / "models" / "openclipart"
SIDES = {"mosaics-4": 2, "mosaics-9": 3}
SMALL = ["--data.train", "1500", "--data.val", "60", "--data.test", "60", "--training.epochs", "20"]
"""What differs from the recipe ``planted``: a small model, trained in minutes."""
SHOWN = 6


def game(part: str, split: str, options: argparse.Namespace) -> Mosaics | Canvases:
    """One part with its model, which is trained first where that is not done."""
    if part in SIDES:
        return Mosaics(Tagger.load(options.run), split, SIDES[part])
    return Canvases(trained(read_recipe(find_recipe("planted"), SMALL), planted_run(options)), split, options.tries)


def planted_run(options: argparse.Namespace) -> Path:
    """Run folder of the planted world's model."""
    return options.runs / "heatmaps" / "planted"


def play(part: str, options: argparse.Namespace) -> None:
    """One part; what was drawn or played before is not done again."""
    played_by = game(part, options.split, options)
    results = read(options.folder)
    entry = results.setdefault(options.split, {}).setdefault(part, {"tries": [], "played": {}})
    if len(entry["tries"]) < options.tries:
        entry["tries"] = []
        for each in islice(played_by.draw(), options.tries):
            entry["tries"].append(each._asdict())
            if len(entry["tries"]) % 20 == 0:
                print(f"{part}, {options.split}: drew {len(entry['tries'])} of {options.tries} tries", flush=True)
    played = entry["played"]
    for number, each in enumerate(entry["tries"][: options.tries]):
        if str(number) in played:
            continue
        found = maps_of(played_by.tagger.session(played_by.picture(each["rows"])), each["label"])
        figures = {name: scores(heatmap, each["box"]) for name, heatmap in found.items()}
        played[str(number)] = {name: (hit, round(inside, 4)) for name, (hit, inside) in figures.items()}
        write_json(options.folder / "heatmaps.json", results)
        if len(played) % 20 == 0:
            hits = {name: round(100 * hit, 1) for name, (hit, *_) in heatmap_page.summary(played).items()}
            print(part, options.split, len(played), hits, flush=True)
    if isinstance(played_by, Mosaics):
        alone = entry.setdefault("alone", {})
        alone |= {n: int(played_by.right_alone(entry["tries"][int(n)])) for n in played if n not in alone}
        write_json(options.folder / "heatmaps.json", results)


def read(folder: Path) -> dict[str, Any]:
    """Figures so far."""
    path = folder / "heatmaps.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def write_page(options: argparse.Namespace) -> None:
    """``heatmaps.md``, and a picture of the first tries of each part whose model is there, unless seconds alone are new."""
    results = read(options.folder)
    drawn = results.get("test", {}) if options.parts or not options.seconds else {}
    for part, entry in drawn.items():
        if part in SIDES or (planted_run(options) / "metrics.json").exists():
            tries = entry["tries"][:SHOWN]
            heatmap_page.draw(game(part, "test", options), tries, heatmap_page.picture(options.folder, part))
    text = heatmap_page.page(results, small=SMALL, folder=options.folder)
    (options.folder / "heatmaps.md").write_text(text, encoding="utf-8")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.heatmaps", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = list(heatmap_page.PARTS)
    parser.add_argument("--parts", nargs="*", choices=parts, default=parts)
    parser.add_argument("--split", choices=SEEDS, default="test", help="val for choosing, test for the figures (test)")
    parser.add_argument("--tries", type=int, default=300, help="of each part; of the planted world, canvases too (300)")
    parser.add_argument("--run", type=Path, default=MODEL, help="the model of the mosaics (models/openclipart)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where the planted model is (runs)")
    parser.add_argument("--folder", type=Path, default=OUT, help="of page, pictures and figures (docs/experiments)")
    parser.add_argument("--seconds", action="store_true", help="measure how long one heat map takes")
    options = parser.parse_args(arguments)
    for part in options.parts:
        play(part, options)
    if options.seconds:
        results = read(options.folder) | {"seconds": time_heatmaps(options.run)}
        write_json(options.folder / "heatmaps.json", results)
    write_page(options)


if __name__ == "__main__":
    main()
