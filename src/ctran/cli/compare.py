"""Train several methods by one recipe, and write a page that compares them.

  ctran compare demo --methods linear csra anchored        three methods on the demo's pictures
  ctran compare my.yaml --seeds 3 --output runs/compared   all methods, three seeds each
  ctran compare auto --root pictures --absent negative --methods linear pairwise --training.epochs 5

RECIPE gives source, backbone, pictures and training; methods have their own options at their defaults, and the recipe's own
method those of the recipe. Any key of the recipe can be given as --key value; a --model key is for all methods that have it.
Run again, the command goes on where it stopped, and adds the methods and seeds that are new. FOLDER gets comparison.md,
comparison.csv, comparison.json, known.png, time.png and a run folder for each method and seed. Methods that cannot be trained
by the recipe are listed with the reason.
"""

import argparse
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ctran.cli._arguments import add
from ctran.cli._types import count, output_folder

if TYPE_CHECKING:
    from ctran.analysis.compare import Comparison


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command; recipe keys come beside them."""
    parser.usage = "ctran compare RECIPE [--methods NAME ...] [--seeds N] [--output FOLDER] [--key value ...]"
    parser.allow_abbrev = False  # recipe keys are flags too
    what = parser.add_argument_group("what is compared")
    what.add_argument(
        "--methods", nargs="+", action="extend", default=[], metavar="NAME", help="methods (default: all of ctran methods)"
    )
    what.add_argument("--seeds", type=count, metavar="N", default=1, help="trainings of each method (default: 1)")
    add(parser.add_argument_group("training"), "--budget", more="for each training")
    more = "folder of the page and of the run folders"
    add(parser.add_argument_group("output"), "--output", metavar="FOLDER", more=more, shown="runs/compare-NAME")


def run(options: argparse.Namespace) -> int:
    """Compare; prints the page."""
    from ctran.training.compare import compare
    from ctran.training.recipe import RecipeError
    from ctran.training.recipe_files import find_recipe, name_of, read_keys, shipped

    if not options.recipe:
        raise RecipeError(f"name a recipe first: a YAML file, or one of {', '.join(shipped())}")
    path = find_recipe(options.recipe)
    folder = output_folder(options.output or Path("runs") / f"compare-{name_of(path)}")
    folder.mkdir(parents=True, exist_ok=True)
    found = None
    try:
        for so_far in compare(read_keys(path, options.keys), options.methods, options.seeds, folder, options.budget):
            found = so_far
    except KeyboardInterrupt:
        if found is not None:
            write(found, folder, options)
        print(f"\ninterrupted; what is finished is in {folder}. The same command goes on", file=sys.stderr)
        return 130
    assert found is not None
    print(write(found, folder, options))
    print(f"{folder / 'comparison.md'}, .csv and .json, known.png and time.png")
    return 0 if found.rows else 1


def write(found: "Comparison", folder: Path, options: argparse.Namespace) -> str:
    """Write page, table and plots; returns the page."""
    import numpy as np

    from ctran.analysis.compare_page import header, lines, page
    from ctran.files import write_text
    from ctran.plots.comparison import Compared, accuracy_by_known, accuracy_by_time
    from ctran.plots.style import save_rows

    chosen = ["--methods", *options.methods] if options.methods else []
    limit = [] if options.budget is None else ["--budget", f"{options.budget:g}s"]
    words = ["ctran", "compare", options.recipe, *chosen, "--seeds", str(options.seeds), *limit, *options.keys]
    words += ["--output", str(folder)]
    text = page(found, shlex.join(words))
    write_text(folder / "comparison.md", text)
    save_rows(header(found), lines(found), folder / "comparison.csv")
    if found.rows:
        drawn = [
            Compared(
                *(name, found.mean(name).tolist(), found.spread(name).tolist()),
                float(np.mean([row.milliseconds[0] for row in found.of(name)])),
            )
            for name in found.ranking()
        ]
        amount = "groups of known labels" if all("groups" in name for name in found.settings) else "known labels (%)"
        accuracy_by_known(drawn, list(found.settings.values()), amount, folder / "known.png")
        accuracy_by_time(drawn, folder / "time.png")
    return text
