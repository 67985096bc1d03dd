"""Measure a run on its test pictures when a share of the labels is known.

  ctran evaluate runs/demo --known-share 0 25 50 75

Writes metrics.json and metrics.md into the run folder (metrics-SPLIT for other splits), unless --output names another stem.
"""

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument("--known-share", type=float, nargs="+", default=[0, 25, 50, 75], help="percent of the labels")
    parser.add_argument("--split", choices=("train", "val", "test"), default="test")
    parser.add_argument("--seed", type=int, help="of the choice of known labels (default: the recipe's)")
    parser.add_argument("--everything", action="store_true", help="print metrics over all entries, not only those not shown")
    parser.add_argument(
        "--output", type=Path, help="write STEM.json and STEM.md here (default: RUN/metrics, of other splits RUN/metrics-SPLIT)"
    )


def run(options: argparse.Namespace) -> int:
    """Evaluate and print the table."""
    from ctran.inference.tagger import Tagger
    from ctran.training.fit import check_data, evaluate_run, report_skipped, write_metrics
    from ctran.training.pipeline import build_tables
    from ctran.training.recipe import RecipeError, read_run

    if bad := [s for s in options.known_share if not 0 <= s <= 100]:
        raise RecipeError(f"--known-share takes percentages from 0 to 100, got {bad[0]:g}")
    if small := [s for s in options.known_share if 0 < s < 1]:
        raise RecipeError(f"--known-share takes percentages; {small[0]:g} is less than one. Did you mean {100 * small[0]:g}?")
    recipe, tagger = read_run(options.run), Tagger.load(options.run)
    stem = options.output or options.run / ("metrics" if options.split == "test" else f"metrics-{options.split}")
    if not stem.parent.is_dir():
        raise RecipeError(f"--output {stem}: there is no folder {stem.parent}")
    tables = build_tables(recipe)
    if changed := check_data(tables, options.run, (options.split,)):
        print(f"warning: {changed}; some may have been trained on", file=sys.stderr)
    report_skipped(tables, options.run)
    seed = recipe.evaluation.seed if options.seed is None else options.seed
    shares = [s / 100 for s in options.known_share]
    report = evaluate_run(tagger, tables[options.split], shares, seed=seed, split=options.split)
    write_metrics(report, stem)
    print(report.markdown(everything=options.everything))
    return 0
