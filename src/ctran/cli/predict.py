"""Predict the labels of pictures, given known labels.

ctran predict runs/demo picture.png
ctran predict runs/demo *.png --known "flag=yes" "map=no" --json
ctran predict runs/demo --input photos --output predictions

With --input a whole collection is predicted, and what --output has already is not done again; docs/scaling.md has more.
Exit status: 0 all pictures were predicted, 1 refused or stopped, or a named picture cannot be read, 2 wrong usage,
3 the collection is done and some of its pictures could not be predicted: they are in OUT/errors, with reasons.
"""

import argparse
import csv
import sys
from collections.abc import Container, Iterable
from pathlib import Path

from ctran.cli import _collection
from ctran.cli._arguments import add, add_run
from ctran.cli._output import print_json, reader_gone
from ctran.cli._types import BOOLEANS, above_zero, count, share
from ctran.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    model = parser.add_argument_group("model")
    add_run(model, "run, model folder, or folder of ctran export")
    model.add_argument("--fast", action="store_true", help="compute in bfloat16: faster where the processor has it")
    question = parser.add_argument_group("pictures and known labels")
    question.add_argument(
        "images", type=Path, nargs="+", default=[], metavar="PICTURE", help="picture files; none with --input"
    )
    add(question, "--known", default=[])
    output = parser.add_argument_group("output")
    output.add_argument("--threshold", type=share, help="from where on a label is present (default: the model's own, else 0.5)")
    output.add_argument("--top", type=count, default=5, metavar="N", help="labels a picture in the table (default: 5)")
    question.add_argument(
        "--truncated", choices=("refuse", "read"), default="refuse", help="files that end early: refuse, or read what is there"
    )
    question.add_argument("--white", type=above_zero, help="the value that is white in samples of more than 8 bits, as 4095")
    form = output.add_mutually_exclusive_group()
    add(form, "--json", more="all probabilities, one line a picture")
    add(form, "--csv", more="all probabilities: file, label, probability, present")
    _collection.add_arguments(parser)


def parse_known(pairs: Iterable[str], names: Container[str] = ()) -> dict[str, bool]:
    """``["flag=yes", "map = no"] -> {"flag": True, "map": False}``; blanks around one of ``names`` are kept."""
    known = {}
    for pair in pairs:
        name, equals, value = pair.rpartition("=")
        if not equals or value.strip().lower() not in BOOLEANS:
            raise UserError(f"--known takes LABEL=yes or LABEL=no, got {pair!r}")
        name, present = name if name in names else name.strip(), BOOLEANS[value.strip().lower()]
        if known.setdefault(name, present) != present:
            raise UserError(f"--known gives both yes and no for {name!r}")
    return known


def run(options: argparse.Namespace) -> int:
    """Predict; a picture that cannot be read is reported and the others are still done (exit status 1)."""
    if options.input is not None:
        return _collection.run(options, parse_known)
    _collection.refuse_flags(options)
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from ctran.folders.exported import Exported, load

    tagger = load(options.run, options.device)
    if options.fast and isinstance(tagger, Exported):
        raise UserError(f"--fast: {options.run} is exported, so how fast it is was settled then (ctran export --int8)")
    tagger = tagger.fast() if options.fast else tagger
    known = parse_known(options.known, tagger.labels.index_of)
    failed = 0
    writer = csv.writer(sys.stdout)
    table = Table("picture", "labels", "most probable")
    if options.csv:
        writer.writerow(["file", "label", "probability", "present"])
    found = tagger.predict_many(
        options.images, known, threshold=options.threshold, truncated=options.truncated, white=options.white
    )
    for image, prediction in zip(options.images, found, strict=True):
        if isinstance(prediction, UserError):
            print(f"ctran predict: {prediction}", file=sys.stderr)
            failed += 1
            continue
        if options.json:
            row = {"file": str(image), "labels": prediction.labels, "known": known}
            print_json(row | {"probabilities": prediction.probabilities})
        elif options.csv:
            present = set(prediction.labels)
            for label, p in prediction.probabilities.items():
                writer.writerow([image, label, f"{p:.6f}", int(label in present)])
        else:
            best = ", ".join(f"{name} {100 * p:.0f} %" for name, p in prediction.top(options.top).items())
            table.add_row(*map(escape, (image.name, ", ".join(prediction.labels) or "-", best)))  # no markup in names
        sys.stdout.flush()  # a reader gets each batch as it is done
        if reader_gone():
            break
    if table.row_count:
        Console().print(table)
    return 1 if failed else 0
