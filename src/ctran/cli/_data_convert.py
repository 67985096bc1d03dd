"""``ctran data convert``: a label file of one's own and its pictures in another format."""

import argparse
import shlex
from pathlib import Path

from ctran.cli._types import output_folder
from ctran.errors import UserError


def convert(source: Path, out: Path, options: argparse.Namespace) -> int:
    """Read, write, and print what was written and how it is read."""
    from ctran.data import conversion
    from ctran.training.recipe import read_recipe

    name = options.source or "imagefolder"
    reader = conversion.reader(name)
    if options.to is None:
        raise UserError(f"name the format to write with --to: {', '.join(conversion.writable())}")
    writer = conversion.writer(options.to)
    output_folder(out, "OUT")
    config = read_recipe(None, ["--source", name, "--data.root", str(source), *options.keys]).data
    annotated = conversion.read(reader, config)
    if options.positives_only:
        annotated = annotated.without_negatives()
    found = conversion.write(writer, annotated, out, link=bool(options.link))
    print(f"{out}: {len(annotated.rows):,} pictures, {len(annotated.labels):,} labels, format {options.to}")
    flags = (word for key, value in found.items() for word in (f"--{'' if key in ('root', 'absent') else 'data.'}{key}", value))
    print(f"read it with: ctran train --source {options.to} {shlex.join(map(str, flags))}")
    return 0
