"""Measure a run on its test pictures when a share of the labels is known.

  ctran evaluate runs/demo --known-share 0 25 50 75

Writes metrics.json and metrics.md beside the model, unless --output names another stem.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument("--known-share", type=float, nargs="+", default=[0, 25, 50, 75], help="percent of the labels")
    parser.add_argument("--split", choices=("train", "val", "test"), default="test")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of known labels")
    parser.add_argument("--everything", action="store_true", help="print metrics over all entries, not only those not shown")
    parser.add_argument("--output", type=Path, help="write STEM.json and STEM.md here (default: RUN/metrics)")


def run(options: argparse.Namespace) -> int:
    """Evaluate and print the table."""
    from ctran.inference.tagger import Tagger
    from ctran.training.fit import evaluate_run, write_metrics
    from ctran.training.pipeline import build_tables
    from ctran.training.recipe import RecipeError, read_run

    if bad := [s for s in options.known_share if not 0 <= s <= 100]:
        raise RecipeError(f"--known-share takes percentages from 0 to 100, got {bad[0]:g}")
    table = build_tables(read_run(options.run))[options.split]
    shares = [s / 100 for s in options.known_share]
    report = evaluate_run(Tagger.load(options.run), table, shares, seed=options.seed)
    write_metrics(report, options.output or options.run / "metrics")
    print(report.markdown(everything=options.everything))
    return 0
