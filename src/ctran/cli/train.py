"""Train a model from a recipe: a YAML file, or the name of a shipped one.

  ctran train demo                                      a shipped recipe, by name
  ctran train my.yaml --training.epochs 5 --seed 1      a YAML file, with keys over it
  ctran train demo --source imagefolder --root pictures --absent negative
  ctran train --resume runs/demo                        go on after an interruption

Any key of the recipe can be given as --key value; --absent, --root and --skip-broken are short for --data.absent,
--data.root and --data.skip_broken. --keys lists all keys with their meaning, type and default.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ctran.training.recipe import RecipeError, find_recipe, name_of, print_help, read_recipe, read_run, read_tree, shipped


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command; recipe keys come beside them."""
    parser.usage = "ctran train [RECIPE] [--key value ...] [--output DIR]\n       ctran train --resume RUN"
    parser.allow_abbrev = False  # recipe keys are flags too
    parser.add_argument("--output", type=Path, help="run folder (default: runs/NAME, for paper/coco80 runs/paper-coco80)")
    parser.add_argument("--resume", type=Path, metavar="RUN", help="run folder of an interrupted training")
    parser.add_argument("--keys", dest="list_keys", action="store_true", help="list every recipe key and exit")


def run(options: argparse.Namespace) -> int:
    """Train; prints where the run folder is."""
    from ctran.training.fit import fit

    if options.resume is not None:
        moved = all(k.startswith(("--data.", "--root")) for k in options.keys if k.startswith("--"))
        if options.recipe or options.output or not moved:
            raise RecipeError("--resume RUN takes the recipe from the run folder; only --root and --data keys can be set anew")
        recipe, folder = read_run(options.resume, options.keys), options.resume
        if (folder / "finished.json").exists():
            print(f"{folder} is finished; it is measured again", file=sys.stderr)
    else:
        path = find_recipe(options.recipe) if options.recipe else None
        if options.list_keys:
            return help_on(path, options.keys)
        if path is None and not options.keys:
            raise RecipeError(f"name a recipe: a YAML file, or one of {', '.join(shipped())}")
        recipe = read_recipe(path, options.keys)
        folder = options.output or Path("runs") / (name_of(path) if path else recipe.method)
    try:
        report = fit(recipe, folder, resume=options.resume is not None)
    except KeyboardInterrupt:
        print(f"\ninterrupted; all finished epochs are kept. Go on with: ctran train --resume {folder}", file=sys.stderr)
        return 130
    print(report.markdown())
    print(f"\nrun folder: {folder}")
    return 0


def help_on(path: Path | None, flags: Sequence[str]) -> int:
    """All keys of the method and source that recipe and flags name."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    tree = read_tree(path) if path else {}
    parser.add_argument("--method", default=tree.get("method", "ctran"))
    parser.add_argument("--source", default=tree.get("source", "openclipart"))
    named, _ = parser.parse_known_args(flags)
    print_help(named.method, named.source)
    return 0
