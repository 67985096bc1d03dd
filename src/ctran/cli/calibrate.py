"""Calibrate the probabilities of a run on its val pictures: temperatures, and a threshold for each label.

  ctran calibrate runs/demo                      thresholds of the greatest F1
  ctran calibrate runs/demo --precision 0.9      the least thresholds that reach this precision
  ctran calibrate runs/demo --reset              logits as they are, and one half, as in the paper

A temperature or the thresholds are kept only where they help on val pictures that were left out of their fit; what is not
kept is printed with the reason. Writes calibration.json into the model folder, where predict, the server and exports find it,
and prints its effect on test: the expected calibration error, and F1 with one threshold (one half) and with each label's own.
"""

import argparse
import json
import sys
from dataclasses import asdict

from ctran.cli._arguments import add, add_run
from ctran.cli._types import share
from ctran.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    add_run(parser.add_argument_group("model"))
    what = parser.add_argument_group("what is fitted")
    rule = what.add_mutually_exclusive_group()
    rule.add_argument("--precision", type=share, metavar="P", help="wanted precision of each label, 0 to 1")
    rule.add_argument("--reset", action="store_true", help="remove what was fitted")
    add(what, "--known-share", nargs="+", default=[0, 25, 50, 75], shown="0 25 50 75")
    add(what, "--seed", default=0)
    add(parser.add_argument_group("data"), "--root")
    add(parser.add_argument_group("output"), "--json")


def run(options: argparse.Namespace) -> int:
    """Fit, save, and print the effect on test."""
    from rich.console import Console
    from rich.table import Table

    from ctran.analysis.calibrate import fit_calibration, predict_shares, qualities, remove_calibration, write_calibration
    from ctran.folders.tagger import Tagger
    from ctran.metrics.legend import legend
    from ctran.training.pipeline import tables_of_run

    shares = sorted(set(options.known_share))
    if shares[-1] == 100:
        raise UserError("--known-share takes percentages below 100 here, got 100: no label is left to calibrate on")
    tagger = Tagger.load(options.run, options.device)
    if options.reset:
        path = remove_calibration(options.run)
        print(f"{path} is removed: logits as they are, thresholds of one half")
        return 0
    tables = tables_of_run(options.run, options.root)
    known_shares = [s / 100 for s in shares]
    calibration = fit_calibration(
        *predict_shares(tagger, tables["val"], known_shares, options.seed, "val"), tagger.labels, precision=options.precision
    )
    rows = qualities(*predict_shares(tagger, tables["test"], known_shares, options.seed, "test"), tagger.labels, calibration)
    path = write_calibration(calibration, options.run)
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=1))
    else:
        table = Table("known", "T", "ECE before", "after", "CF1 at 1/2", "own", "OF1 at 1/2", "own")
        for row in rows:
            errors = (f"{100 * row.ece_before:.2f} %", f"{100 * row.ece_after:.2f} %")
            scores = (f"{score:.1f}" for score in (row.CF1_half, row.CF1_own, row.OF1_half, row.OF1_own))
            table.add_row(f"{100 * row.known_share:.3g} %", f"{row.temperature:.3f}", *errors, *scores)
        Console().print(table)
        print(
            f"{legend(('ECE', 'T', 'CF1', 'OF1', 'CP', 'CR', 'OP', 'OR'))} 1/2: one threshold for all; own: each label's own."
        )
    for reason in calibration.reasons:
        print(f"not fitted: {reason}", file=sys.stderr)
    if not calibration.thresholds and set(calibration.temperatures) == {1.0}:
        print("nothing was fitted: probabilities and thresholds are those of the model without a calibration", file=sys.stderr)
    unset = len(tagger.labels) - len(calibration.thresholds)
    own = f"thresholds of {len(calibration.thresholds)} labels by {calibration.rule}"
    print(f"{own}; {unset} of one half" if unset else own, file=sys.stderr)
    print(f"written to {path}", file=sys.stderr)
    return 0
