"""Measure a run on its test pictures when some labels are known.

  ctran evaluate runs/demo --known-share 0 25 50 75           partial labels: so many percent are told
  ctran evaluate runs/demo --known-share 0 50 --reveal positives    only labels that are present are told
  ctran evaluate runs/cub --known-groups 0 10 15 20 --draws 5       extra labels: so many groups are told
  ctran evaluate runs/demo --preset ctran mlgcn --intervals 1000
  ctran evaluate runs/demo --data.root elsewhere                    keys of data and evaluation can be set anew

Without such flags it measures what the recipe says. Writes metrics.json and metrics.md into the run folder, or, so that these
stay those of the recipe, metrics-other.* of other settings or data and metrics-SPLIT.* of other splits; --output names another
stem.
"""

import argparse
import re
import sys
from dataclasses import replace
from pathlib import Path

from ctran.cli._types import count, output_stem

PRESETS = ("default", "ctran", "mlgcn", "voc")
"""Names of :data:`ctran.metrics.PRESETS`, which importing would take seconds."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command; recipe keys come beside them."""
    parser.allow_abbrev = False
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument("--known-share", type=float, nargs="+", metavar="PERCENT", help="of the labels that are told")
    parser.add_argument("--known-groups", type=int, nargs="+", metavar="N", help="groups of extra labels that are told")
    parser.add_argument(
        "--reveal",
        choices=("random", "positives", "confident"),
        help="labels that are told first; shares are then of a picture's positives, rounded down",
    )
    parser.add_argument("--draws", type=int, help="draw what is told so often; mean and spread are reported")
    parser.add_argument("--preset", nargs="+", choices=PRESETS, help="published definitions to count by as well")
    parser.add_argument("--intervals", type=replicates, metavar="N", help="95 %% bootstrap intervals of N replicates")
    parser.add_argument("--split", choices=("train", "val", "test"), default="test")
    parser.add_argument("--seed", type=int, help="of the choice of known labels (default: the recipe's)")
    parser.add_argument("--everything", action="store_true", help="print metrics over all entries, not only those not shown")
    parser.add_argument("--output", type=Path, help="write STEM.json and STEM.md here (default: RUN/metrics)")


def replicates(text: str) -> int:
    """A number from 100 on: fewer say nothing of the tails."""
    if (value := count(text)) < 100:
        raise argparse.ArgumentTypeError(f"expected at least 100 replicates, got {text}")
    return value


def run(options: argparse.Namespace) -> int:
    """Evaluate and print the table."""
    from ctran import registry
    from ctran.data import sources
    from ctran.inference.tagger import Tagger
    from ctran.training.fit import evaluate_run
    from ctran.training.pipeline import build_tables
    from ctran.training.recipe import RecipeError, read_run
    from ctran.training.run_folder import check_data, report_skipped, write_metrics
    from ctran.training.seen import warn_if_seen

    if options.output:
        output_stem(options.output)
    shares = options.known_share or []
    if bad := [s for s in shares if not 0 <= s <= 100]:
        raise RecipeError(f"--known-share takes percentages from 0 to 100, got {bad[0]:g}")
    if small := [s for s in shares if 0 < s < 1]:
        raise RecipeError(f"--known-share takes percentages; {small[0]:g} is less than one. Did you mean {100 * small[0]:g}?")
    if options.known_share and options.known_groups:
        raise RecipeError("--known-share or --known-groups: one of the two")
    if trained := [k for k in options.keys if re.match(r"--(?!data\.|evaluation\.|root\b|absent\b|skip-broken\b)", k)]:
        raise RecipeError(
            f"{trained[0].partition('=')[0]}: of a trained model only --data and --evaluation keys can be set anew"
        )
    recipe, tagger = read_run(options.run, options.keys), Tagger.load(options.run)
    given = {
        "known_share": tuple(s / 100 for s in shares) or None,
        "known_groups": () if shares else options.known_groups and tuple(options.known_groups),
        "reveal": options.reveal,
        "draws": options.draws,
        "seed": options.seed,
        "presets": options.preset and tuple(options.preset),
    }
    settings = replace(recipe.evaluation, **{k: v for k, v in given.items() if v is not None})
    tables = build_tables(recipe)
    if changed := check_data(tables, options.run, (options.split,)):
        print(f"warning: {changed}; some may have been trained on", file=sys.stderr)
    if changed or not hasattr(registry.find(sources, recipe.source), "ORIGIN"):  # published splits share no picture
        warn_if_seen(tables[options.split], options.split, options.run)
    report_skipped(tables, options.run)
    report = evaluate_run(tagger, tables[options.split], settings, split=options.split, intervals=options.intervals or 0)
    usual = read_run(options.run).evaluation
    other = changed or settings.settings() != usual.settings() or settings.seed != usual.seed
    name = "metrics-other" if other else "metrics"
    stem = options.output or options.run / (name if options.split == "test" else f"metrics-{options.split}")
    write_metrics(report, stem)
    print(report.markdown(everything=options.everything))
    print(f"written to {stem}.json and .md", file=sys.stderr)
    return 0
