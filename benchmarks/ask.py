"""What to ask next, and whole label sets: ``docs/experiments/ask.md``.

    python -m benchmarks.ask [--parts clipart sets planted] [--seeds 0 1 2] [--runs runs]
    python -m benchmarks.ask --page-only

* ``clipart``: 0 to 20 answers about every third test picture of the clip-art library, by four policies.
* ``sets``: log-likelihood of whole label sets of these pictures, by the demo's recipe and by one trained at every share.
* ``planted``: gains with exact conditionals against enumeration, and against the joint information gain.

Runs are shared with ``benchmarks.attention`` where they are the same; finished ones are kept, interrupted ones resumed. Each
part, policy and seed is written to ``docs/experiments/ask.json`` as soon as it is there, and not repeated. On one core about 4
minutes a seed for ``information``, 1 for the others, 5 for a run and 2 for its likelihoods.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from benchmarks.ask_measure import POLICIES, asked, likelihoods
from benchmarks.ask_page import done, keep, read, write_page
from benchmarks.ask_planted import PLANTED_PICTURES, planted_gains
from benchmarks.attention import Clipart
from benchmarks.studies import trained
from ctran.data.sources import planted
from ctran.data.table import SampleTable
from ctran.folders.tagger import Tagger
from ctran.inference.acquisition import Policy
from ctran.inference.predictor import Predictor
from ctran.inference.session import Session
from ctran.training.pipeline import build_tables
from ctran.training.recipe import Recipe, read_recipe
from ctran.training.recipe_files import find_recipe

EVERY = 3
"""Of the test pictures, so that the study takes an hour and not three."""
VARIANTS = {"demo": [], "every share": ["--training.unknown_share=[0, 1]"]}
FOLDERS = {"demo": "attention/openclipart/full-{}", "every share": "ask/every-share-{}"}


def clipart_run(variant: str, seed: int, runs: Path) -> tuple[Recipe, Tagger, SampleTable]:
    """A trained model, and the test pictures that are asked about."""
    recipe = read_recipe(find_recipe("demo"), [*VARIANTS[variant], "--seed", str(seed)])
    tagger = trained(recipe, runs / FOLDERS[variant].format(seed))
    table = build_tables(recipe)["test"]
    return recipe, tagger, table.select(list(range(0, len(table), EVERY)))


def looks(predictor: Predictor, table: SampleTable) -> list[Session]:
    """One session a picture."""
    return [predictor.session(table.picture(row)) for row in range(len(table))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=("clipart", "sets", "planted"), default=["clipart", "sets", "planted"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where the run folders are")
    parser.add_argument("--page-only", action="store_true", help="measure nothing, write page and figure again")
    options = parser.parse_args()
    if options.page_only:
        write_page(read())
        return
    for seed in options.seeds:
        if "clipart" in options.parts:
            study_answers(seed, options.runs)
        if "sets" in options.parts:
            study_sets(seed, options.runs)
    if "planted" in options.parts and not done("planted"):
        study_planted(options.runs)


def study_answers(seed: int, runs: Path) -> None:
    """All policies with the model of one seed."""
    left: list[Policy] = [policy for policy in POLICIES if not done("clipart", policy, str(seed))]
    if not left:
        return
    _, tagger, table = clipart_run("demo", seed, runs)
    sessions, truth = looks(tagger, table), table.truth.rows(list(range(len(table)))).long()
    keep(len(table), "pictures")
    for policy in left:
        found = asked(sessions, truth, policy, seed)
        keep(found, "clipart", policy, str(seed))
        print(seed, policy, [round(found["right"][n], 1) for n in (0, 5, 10, 20)], flush=True)


def study_sets(seed: int, runs: Path) -> None:
    """Likelihoods, and what they cost elsewhere, of both recipes."""
    for variant in VARIANTS:
        if done("sets", variant, str(seed)):
            continue
        recipe, tagger, table = clipart_run(variant, seed, runs)
        truth = table.truth.rows(list(range(len(table)))).long()
        found = {"likelihood": likelihoods(looks(tagger, table), truth, seed), "mAP": Clipart().measure(tagger, recipe)}
        keep(found, "sets", variant, str(seed))
        print(seed, variant, found, flush=True)


def study_planted(runs: Path) -> None:
    """Gains on the planted world."""
    recipe = read_recipe(find_recipe("planted"))
    tagger = trained(recipe, runs / "attention" / "planted" / "full-0")
    table = planted.build(replace(recipe.data, train=1, val=1, test=PLANTED_PICTURES))["test"]
    found = planted_gains(tagger, table, planted.world(recipe.data), seed=0)
    keep(found, "planted")
    print(found, flush=True)


if __name__ == "__main__":
    main()
