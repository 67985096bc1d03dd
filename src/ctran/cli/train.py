"""Train a model from a recipe: a YAML file, or the name of a shipped one.

  ctran train --root pictures --absent negative         your own pictures, by the recipe auto
  ctran train --root pictures --absent negative --budget 2m
  ctran train demo                                      a shipped recipe, by name
  ctran train my.yaml --training.epochs 5 --seed 1      a YAML file, with keys over it
  ctran train demo --source imagefolder --root pictures --absent negative
  ctran train --resume runs/demo                        go on after an interruption
  ctran train --resume runs/mine --training.epochs 60   go on after the end (with training.schedule constant)

Any key of the recipe can be given as --key value; --absent, --root and --skip-broken are short for --data.absent,
--data.root and --data.skip_broken. --keys lists all keys with their meaning, type and default.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ctran.cli._arguments import add
from ctran.cli._types import output_folder

DEFAULT = "auto"
"""The recipe of a training that names neither a recipe nor a method."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command; recipe keys come beside them."""
    parser.usage = (
        "ctran train [RECIPE] [--key value ...] [--output DIR]\n       ctran train --resume RUN [--training.epochs N]"
    )
    parser.allow_abbrev = False  # recipe keys are flags too
    what = parser.add_argument_group("what is trained")
    add(
        parser.add_argument_group("output"),
        "--output",
        metavar="FOLDER",
        more="run folder",
        shown="runs/NAME, for paper/coco80 runs/paper-coco80",
    )
    add(what, "--budget")
    what.add_argument("--resume", type=Path, metavar="RUN", help="run folder to go on with: interrupted, or to get more epochs")
    parser.add_argument_group("recipe keys").add_argument(
        "--keys", dest="list_keys", action="store_true", help="list every recipe key and exit"
    )


def run(options: argparse.Namespace) -> int:
    """Train; prints where the run folder is."""
    from ctran.training.recipe import RecipeError, read_recipe, read_run
    from ctran.training.recipe_files import find_recipe, name_of, shipped
    from ctran.training.unused import refuse_unused

    if options.resume is not None:
        from ctran.training.extend import FINISHED, check_epochs

        check_resumed(options)
        recipe, folder = read_run(options.resume, options.keys), options.resume
        longer = check_epochs(recipe.training.epochs, folder)
        if (folder / FINISHED).exists() and not longer:
            print(f"{folder} is finished; it is measured again", file=sys.stderr)
    else:
        name = options.recipe or (None if names_method(options.keys) else DEFAULT)
        path = find_recipe(name) if name else None
        if options.list_keys:
            return help_on(path, options.keys)
        if not options.recipe and not options.keys:
            raise RecipeError(
                f"name a recipe: a YAML file, or one of {', '.join(shipped())}; or --root FOLDER of your pictures"
            )
        recipe = read_recipe(path, options.keys)
        refuse_unused(recipe)
        folder = output_folder(options.output or Path("runs") / (name_of(path) if path else recipe.method))
    from ctran.training.evaluation import CANDIDATES  # after the recipe: a wrong key is named without waiting for the trainer
    from ctran.training.fit import fit

    try:
        report = fit(recipe, folder, resume=options.resume is not None, budget=options.budget)
    except KeyboardInterrupt:
        print(f"\ninterrupted; all finished epochs are kept. Go on with: ctran train --resume {folder}", file=sys.stderr)
        return 130
    if (folder / CANDIDATES).exists():
        print((folder / CANDIDATES).read_text(encoding="utf-8"))
    print(report.text())
    print(f"\nrun folder: {folder}")
    return 0


def names_method(flags: Sequence[str]) -> bool:
    """Whether flags name a method, and so no recipe is needed for one."""
    return any(flag.partition("=")[0] == "--method" for flag in flags)


def check_resumed(options: argparse.Namespace) -> None:
    """Refuse options that would change the training that is resumed."""
    from ctran.training.extend import new_run
    from ctran.training.recipe import RecipeError

    if options.budget is not None:
        raise RecipeError(f"--resume {options.resume} trains the epochs of the run's recipe; leave out --budget")
    if options.recipe or options.output:
        what = options.recipe or f"--output {options.output}"
        raise RecipeError(f"--resume {options.resume} takes recipe and folder from the run; leave out {what}")
    for flag in (key.partition("=")[0] for key in options.keys if key.startswith("--")):
        if not flag.startswith(("--data.", "--root")) and flag != "--training.epochs":
            raise RecipeError(
                f"{flag}: --resume goes on with the recipe of {options.resume}; only --root, --data keys and --training.epochs "
                f"can be changed. To train its model further with other settings: {new_run(options.resume, flag)}"
            )


def help_on(path: Path | None, flags: Sequence[str]) -> int:
    """All keys of the method and source that recipe and flags name."""
    from ctran.training.recipe import named, print_help

    print_help(*named(path, flags))
    return 0
