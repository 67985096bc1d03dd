"""``ctran predict --input IN --output OUT``: flags, and a collection predicted. Imports nothing heavy."""

import argparse
import sys
from collections.abc import Callable
from typing import Any

from ctran.cli._arguments import add
from ctran.cli._types import count, part_of
from ctran.errors import UserError

ERRORS_STATUS = 3
"""Exit status where some pictures could not be predicted and all others were."""
FORMS = ("parquet", "csv", "jsonl")
KINDS = ("auto", "folder", "csv", "jsonl", "parquet", "webdataset")


class _Input(argparse.Action):
    """Stores the input; pictures need not be named then. (``nargs="*"`` would take none where flags precede them.)"""

    def __call__(
        self, parser: argparse.ArgumentParser, options: argparse.Namespace, value: Any, flag: str | None = None
    ) -> None:
        setattr(options, self.dest, value)
        for action in parser._actions:
            if action.dest == "images":
                action.required = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of a whole collection."""
    group = parser.add_argument_group("a whole collection")
    group.add_argument("--input", action=_Input, metavar="IN", help="folder of pictures, table of them, or shards; path or URL")
    group.add_argument("--input-format", choices=KINDS, default="auto", help="of the input (default: by its name)")
    add(group, "--output", metavar="OUT", type=str, more="a folder of part files; parts that are there are not done again")
    group.add_argument("--output-format", choices=FORMS, default="parquet", help="of the part files (default: parquet)")
    group.add_argument("--dense", action="store_true", help="write the probabilities of all labels too")
    group.add_argument(
        "--part-size", type=count, default=10_000, metavar="N", help="pictures of a part file at most (default: 10000)"
    )
    group.add_argument("--batch-size", type=count, metavar="N", help="pictures computed together (default: 16, on a GPU 64)")
    columns = parser.add_argument_group("columns of tables")
    columns.add_argument("--picture-column", metavar="NAME", help="picture (default: file_name, else image)")
    columns.add_argument("--id-column", default="id", metavar="NAME", help="names the row in the output (default: id)")
    columns.add_argument("--labels-column", default="labels", metavar="NAME", help="known to be present (default: labels)")
    columns.add_argument(
        "--negatives-column", default="negatives", metavar="NAME", help="known to be absent (default: negatives)"
    )
    columns.add_argument("--delimiter", default=",", help="between the labels of a cell (default: ,)")
    columns.add_argument("--ignore-columns", nargs="+", default=[], metavar="NAME", help="columns without known labels")
    add(group, "--workers", default=1, more="for each GPU; 0: none beside")
    group.add_argument(
        "--shard", type=part_of, default=(1, 1), metavar="I/N", help="do only part I of N: one job of many (default: 1/1)"
    )
    group.add_argument(
        "--engine", choices=("local", "ray"), default="local", help="this machine, or a Ray cluster (default: local)"
    )
    group.add_argument("--fail-fast", action="store_true", help="stop at the first picture that cannot be predicted")
    group.add_argument("--retry-errors", action="store_true", help="do parts again that have errors")
    parser.set_defaults(of_collection=[*group._group_actions, *columns._group_actions])


def refuse_flags(options: argparse.Namespace) -> None:
    """Without a collection: refuse its flags.

    Raises:
        UserError: a flag that has no effect.
    """
    for action in options.of_collection:
        if getattr(options, action.dest) != action.default:
            raise UserError(f"{action.option_strings[-1]} is for a collection: give --input IN too")


def run(options: argparse.Namespace, parse_known: Callable[..., dict[str, bool]]) -> int:
    """Predict a collection."""
    from ctran.collection.known_cells import Columns
    from ctran.collection.options import Job, Options
    from ctran.collection.ray_engine import run_with_ray
    from ctran.collection.run import run as run_here

    if options.images:
        raise UserError(f"{options.images[0]}: pictures are named either one by one or by --input, got both")
    if options.output is None:
        raise UserError("--input needs --output OUT, a folder for the part files")
    if options.json or options.csv:
        raise UserError("--json and --csv print; of a collection give --output-format jsonl or csv")
    wanted = Options(
        form=options.output_format,
        threshold=options.threshold,
        top=options.top,
        dense=options.dense,
        part_size=options.part_size,
        known=parse_known(options.known),
        fast=options.fast,
        truncated=options.truncated,
        white=options.white,
        columns=Columns(
            options.picture_column,
            options.id_column,
            options.labels_column,
            options.negatives_column,
            delimiter=options.delimiter,
            ignore=tuple(options.ignore_columns),
        ),
    )
    job = Job(
        str(options.run),
        options.input,
        options.output,
        wanted,
        kind=options.input_format,
        device=options.device,
        batch_size=options.batch_size,
        workers=options.workers,
        part=options.shard,
        fail_fast=options.fail_fast,
        retry_errors=options.retry_errors,
    )
    done = run_with_ray(job) if options.engine == "ray" else run_here(job)
    new = done.parts - done.before
    print(f"{done.predicted:,} pictures predicted in {new:,} parts; {done.before:,} parts were there already")
    if done.has_errors:
        first = f" (first: {done.first})" if done.first else ""
        earlier = f"; {done.failed_before:,} parts from before have errors too" if done.failed_before else ""
        print(
            f"ctran predict: {done.failed:,} pictures could not be predicted{first}{earlier}: see {options.output}/errors",
            file=sys.stderr,
        )
    return ERRORS_STATUS if done.has_errors else 0
