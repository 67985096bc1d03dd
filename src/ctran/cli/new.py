"""Write a recipe as a commented YAML file to start from.

ctran new tagger                     a shipped recipe, with every key explained, to tagger.yaml
ctran new tagger --output mine.yaml
ctran train mine.yaml --root pictures --absent negative
"""

import argparse
import sys
from pathlib import Path

from ctran.cli._arguments import add


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    parser.add_argument("recipe", metavar="RECIPE", help="a shipped recipe by name, or a YAML file")
    add(parser, "--output", "-o", metavar="FILE", shown="NAME.yaml")


def run(options: argparse.Namespace) -> int:
    """Write the file; prints how to train it."""
    from ctran.errors import UserError
    from ctran.files import write_text
    from ctran.training.recipe_files import find_recipe, name_of
    from ctran.training.template import template

    path = find_recipe(options.recipe)
    output = options.output or Path(f"{name_of(path)}.yaml")
    if output.exists():
        raise UserError(f"{output} exists already; name another file with --output, or remove it")
    if not output.parent.is_dir():
        raise UserError(f"{output.parent} is not a folder: cannot write {output.name} there")
    write_text(output, template(path, str(output)))
    print(f"written to {output}; train it: ctran train {output}", file=sys.stderr)
    return 0
