"""Measure a run on its test pictures when some labels are known.

  ctran evaluate runs/demo --known-share 0 25 50 75           partial labels: percentages that are known
  ctran evaluate runs/demo --known-share 0 50 --reveal positives    only labels that are present become known
  ctran evaluate runs/cub --known-groups 0 10 15 20 --draws 5       extra labels: numbers of groups that are known
  ctran evaluate runs/demo --preset ctran mlgcn --intervals 1000
  ctran evaluate runs/demo --data.root elsewhere                    keys of data and evaluation can be changed
  ctran evaluate models/coco --source coco80 --root data/coco       a model folder without a run, as ctran convert writes it

Without these flags it uses the recipe's evaluation settings. Writes metrics.json and metrics.md into the run folder;
metrics-other.* for other settings or data, metrics-SPLIT.* for other splits; FOLDER-metrics.* beside a model folder;
--output names another stem. A model folder without groups and extra labels takes those of the data.
"""

import argparse
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ctran.cli._arguments import add, add_run
from ctran.cli._types import count, output_stem

if TYPE_CHECKING:
    from ctran.training.options import Evaluation

PRESETS = ("default", "ctran", "mlgcn", "voc")
"""Names of :data:`ctran.metrics.PRESETS`, whose import would take seconds."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command; recipe keys come beside them."""
    parser.allow_abbrev = False
    add_run(parser.add_argument_group("model"), "run folder, or a model folder (then with --source)")
    data = parser.add_argument_group("data")
    add(data, "--split", default="test")
    add(data, "--workers", default=0)
    known = parser.add_argument_group("known labels")
    amount = known.add_mutually_exclusive_group()
    add(amount, "--known-share", nargs="+", shown="the recipe's")
    add(amount, "--known-groups", nargs="+", shown="the recipe's")
    add(known, "--reveal", more="with positives and confident, shares are of a picture's positives, rounded down")
    known.add_argument("--draws", type=count, metavar="N", help="choose known labels N times; mean and spread are reported")
    add(known, "--seed", shown="the recipe's evaluation.seed")
    metrics = parser.add_argument_group("metrics")
    metrics.add_argument("--preset", nargs="+", choices=PRESETS, help="published definitions to count by as well")
    metrics.add_argument("--intervals", type=replicates, metavar="N", help="95 %% bootstrap intervals of N replicates")
    metrics.add_argument("--everything", action="store_true", help="print metrics over all entries, not only unknown ones")
    metrics.add_argument(
        "--all-columns", action="store_true", help="print the columns of top 3 and AUROC too; the files have all"
    )
    add(parser.add_argument_group("output"), "--output", metavar="STEM", more="STEM.json and STEM.md", shown="RUN/metrics")


def replicates(text: str) -> int:
    """A number from 100 on: fewer do not estimate the tails."""
    if (value := count(text)) < 100:
        raise argparse.ArgumentTypeError(f"expected at least 100 replicates, got {text}")
    return value


def run(options: argparse.Namespace) -> int:
    """Evaluate and print the table."""
    from ctran import registry
    from ctran.data import sources
    from ctran.folders.tagger import Tagger
    from ctran.training.evaluation import evaluate_run
    from ctran.training.matching import adopt, recipe_of_data
    from ctran.training.pipeline import STORED, build_tables
    from ctran.training.recipe import RecipeError, read_run
    from ctran.training.run_folder import check_data, report_skipped, write_metrics
    from ctran.training.seen import warn_if_seen

    named = options.output and output_stem(options.output, "json", "md")
    shares = options.known_share or []
    is_run = (options.run / "recipe.yaml").is_file() or not (options.run / "config.json").is_file()
    may_be_set = "data|evaluation" if is_run else "source|data|evaluation|labels"
    if wrong := [k for k in options.keys if re.match(rf"--(?!({may_be_set})\b|root\b|absent\b|skip-broken\b)", k)]:
        raise RecipeError(
            f"{wrong[0].partition('=')[0]}: of a trained model only --data and --evaluation keys can be changed"
            + ("" if is_run else ", and of a model folder --source and --labels keys")
        )
    if is_run:
        recipe = read_run(options.run, options.keys)
        tagger = Tagger.load(options.run, options.device)
    else:
        tagger = Tagger.load(options.run, options.device)
        recipe = recipe_of_data(options.run, tagger, options.keys)
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
    table, changed = tables[options.split], ""
    if is_run:
        if changed := check_data(tables, options.run, (options.split,)):
            print(f"warning: {changed}; some may have been trained on", file=sys.stderr)
        if changed or not hasattr(registry.find(sources, recipe.source), "ORIGIN"):  # published splits share no picture
            warn_if_seen(table, options.split, options.run)
        report_skipped(tables, options.run)
        if options.split == "val" and recipe.training.feature_views:
            print(f"these figures are in float32; training measured val {STORED}, so its own differ slightly", file=sys.stderr)
    else:
        tagger.labels = adopt(tagger.labels, table.labels)
    report = evaluate_run(
        tagger, table, settings, split=options.split, intervals=options.intervals or 0, workers=options.workers
    )
    stem = named or default_stem(options, is_run, other=bool(changed) or (is_run and differs(settings, options.run)))
    write_metrics(report, stem)
    print((report.markdown if options.all_columns else report.text)(everything=options.everything))
    print(f"written to {stem}.json and .md", file=sys.stderr)
    return 0


def differs(settings: "Evaluation", run: Path) -> bool:
    """Whether the settings differ from those of the run's recipe: published presets and intervals only add figures."""
    from ctran.training.recipe import read_run

    return replace(settings, presets=()) != replace(read_run(run).evaluation, presets=())


def default_stem(options: argparse.Namespace, is_run: bool, *, other: bool) -> Path:
    """Where the report goes without --output: into the run folder, or beside a model folder, which holds nothing else."""
    name = ("metrics-other" if other else "metrics") + ("" if options.split == "test" else f"-{options.split}")
    return options.run / name if is_run else options.run.resolve().with_name(f"{options.run.resolve().name}-{name}")
