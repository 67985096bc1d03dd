"""Calibrate the probabilities of a run on its val pictures: temperatures, and a threshold for each label.

  ctran calibrate runs/demo                      thresholds of the greatest F1
  ctran calibrate runs/demo --precision 0.9      the least thresholds that reach this precision
  ctran calibrate runs/demo --reset              logits as they are, and one half, as in the paper

A temperature, or a label's threshold of the greatest F1, is kept only where it helps pictures that were left out of its fit by
more than noise; both are printed, what is kept and what is not, with the reason. Writes calibration.json into the model
folder, where predict, the server and exports find it, and prints its effect on test: the expected calibration error, and F1
with one threshold (one half) and with each label's own.
"""

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from ctran.cli._arguments import add, add_run
from ctran.cli._types import share
from ctran.errors import UserError

if TYPE_CHECKING:
    from ctran.analysis.calibrate import Fit, Quality


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    add_run(parser.add_argument_group("model"))
    what = parser.add_argument_group("what is fitted")
    rule = what.add_mutually_exclusive_group()
    rule.add_argument("--precision", type=share, metavar="P", help="wanted precision of each label, 0 to 1")
    rule.add_argument("--reset", action="store_true", help="remove what was fitted")
    add(what, "--known-share", nargs="+", default=[0, 25, 50, 75], shown="0 25 50 75")
    add(what, "--seed", default=0)
    data = parser.add_argument_group("data")
    add(data, "--split", more="those that the model was trained on are left out; test is refused", default="val")
    add(data, "--root")
    add(data, "--workers", default=0)
    add(parser.add_argument_group("output"), "--json")


def run(options: argparse.Namespace) -> int:
    """Fit, save, and print what is kept and its effect on test."""
    from ctran import registry
    from ctran.analysis.calibrate import (
        DRAWS,
        fit_calibration,
        predict_shares,
        qualities,
        remove_calibration,
        write_calibration,
    )
    from ctran.data import sources
    from ctran.evaluation.report import no_nan
    from ctran.folders.tagger import Tagger
    from ctran.training.pipeline import build_tables
    from ctran.training.recipe import read_run
    from ctran.training.seen import without_seen

    percents = sorted(set(options.known_share))
    if percents[-1] == 100:
        raise UserError("--known-share takes percentages below 100 here, got 100: no label is left to calibrate on")
    if options.split == "test":
        raise UserError("--split takes train or val here, got test: what is chosen by test pictures cannot be measured on them")
    tagger = Tagger.load(options.run, options.device)
    if options.reset:
        path = remove_calibration(options.run)
        print(f"{path} is removed: logits as they are, thresholds of one half")
        return 0
    recipe = read_run(options.run, ["--data.root", options.root] if options.root else [])
    tables, shares = build_tables(recipe), [percent / 100 for percent in percents]
    table = tables[options.split]
    if options.split == "train" or not hasattr(registry.find(sources, recipe.source), "ORIGIN"):
        table = without_seen(table, options.split, options.run)  # published splits share no picture
    outputs = predict_shares(tagger, table, shares, options.seed, options.split, DRAWS, options.workers)
    fit = fit_calibration(*outputs, tagger.labels, precision=options.precision)
    test = predict_shares(tagger, tables["test"], shares, options.seed, "test", workers=options.workers)
    rows = qualities(*test, tagger.labels, fit.calibration)
    path = write_calibration(fit.calibration, options.run)
    if options.json:
        effect = {"split": options.split, **fit.as_dict(), "test": [asdict(row) for row in rows]}
        print(json.dumps(no_nan(effect), indent=1))
    else:
        _print_effect(rows)
    _print_kept(fit)
    print(f"written to {path}", file=sys.stderr)
    return 0


def _print_effect(rows: "list[Quality]") -> None:
    """A table of the effect on test."""
    from rich.console import Console
    from rich.table import Table

    from ctran.metrics.legend import legend

    table = Table("known", "T", "ECE before", "after", "CF1 at 1/2", "own", "OF1 at 1/2", "own", title="effect on test")
    for row in rows:
        errors = (f"{100 * row.ece_before:.2f} %", f"{100 * row.ece_after:.2f} %")
        scores = (f"{score:.1f}" for score in (row.CF1_half, row.CF1_own, row.OF1_half, row.OF1_own))
        table.add_row(f"{100 * row.known_share:.3g} %", f"{row.temperature:.3f}", *errors, *scores)
    Console().print(table)
    print(f"{legend(('ECE', 'T', 'CF1', 'OF1', 'CP', 'CR', 'OP', 'OR'))} 1/2: one threshold for all; own: each label's own.")


def _print_kept(fit: "Fit") -> None:
    """What is kept and what is not, on stderr."""
    for kept in fit.kept:
        print(f"kept: {kept}", file=sys.stderr)
    for reason in fit.calibration.reasons:
        print(f"not kept: {reason}", file=sys.stderr)
    if fit.calibration.changes_nothing:
        print("nothing is kept: probabilities and labels are those of the model without a calibration", file=sys.stderr)
