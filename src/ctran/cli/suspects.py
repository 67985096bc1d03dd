"""Annotations that disagree most with the picture and with the other labels: where to look for mistakes.

  ctran suspects runs/mine                       the run's test pictures
  ctran suspects runs/mine --split train         those it was trained on, and so believes more

Each label is predicted with all other annotations of the picture known. Writes STEM.csv (ranked), STEM.png (a sheet) and
STEM.html (a page with the pictures in it).
"""

import argparse
import sys

from ctran.cli._arguments import add, add_run
from ctran.cli._types import count, output_stem
from ctran.errors import UserError

ENDINGS = ("csv", "png", "html")
"""Of the files that are written."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    add_run(parser.add_argument_group("model"))
    data = parser.add_argument_group("data")
    add(data, "--split", default="test")
    add(data, "--root")
    add(data, "--workers", default=0)
    output = parser.add_argument_group("output")
    output.add_argument("--rows", type=count, default=1000, metavar="N", help="annotations in the CSV file (default: 1000)")
    add(output, "--count", more="on the sheet and the page", default=40)
    add(output, "--output", metavar="STEM", shown="RUN/suspects-SPLIT")


def run(options: argparse.Namespace) -> int:
    """Predict, rank, write."""
    from ctran.analysis.suspects import suspects
    from ctran.folders.tagger import Tagger
    from ctran.plots.style import save_rows
    from ctran.plots.suspects import sentence, suspect_page, suspect_sheet
    from ctran.training.pipeline import tables_of_run

    stem = options.output and output_stem(options.output, *ENDINGS)
    tagger = Tagger.load(options.run, options.device)
    stem = stem or options.run / f"suspects-{options.split}"
    table = tables_of_run(options.run, options.root)[options.split]
    found = suspects(tagger, table, most=max(options.rows, options.count), workers=options.workers)
    if not found:
        raise UserError(f"{options.split} has no annotation of a label that the model is asked for")
    names = {ending: stem.with_name(f"{stem.name}.{ending}") for ending in ENDINGS}
    header = ("id", "label", "annotated", "probability", "surprise")
    rows = ((s.id, s.label, "present" if s.annotated else "absent", f"{s.probability:.6f}", f"{s.surprise:.4f}") for s in found)
    save_rows(header, list(rows)[: options.rows], names["csv"])
    shown = found[: options.count]
    suspect_sheet(shown, table, names["png"])
    suspect_page(shown, table, names["html"], title=f"Suspicious annotations: {options.run.name}, {options.split}")
    for suspect in found[:10]:
        print(f"{suspect.id}  {sentence(suspect)}")
    print(f"written to {', '.join(map(str, names.values()))}", file=sys.stderr)
    return 0
