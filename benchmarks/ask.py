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
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from matplotlib.figure import Figure
from torch import Tensor

from benchmarks.attention import Clipart
from benchmarks.studies import trained
from ctran import metrics
from ctran.data import planted_canvas
from ctran.data.planted_world import World
from ctran.data.sources import planted
from ctran.data.table import SampleTable
from ctran.folders.tagger import Tagger
from ctran.inference import acquisition, sets
from ctran.inference.acquisition import Policy, candidates, entropy, information
from ctran.inference.predictor import Predictor
from ctran.inference.session import Session
from ctran.labels import LabelState
from ctran.plots.style import BLUE, GOOD, GREY, INK, plain, save_figure
from ctran.training.pipeline import build_tables
from ctran.training.recipe import Recipe, read_recipe
from ctran.training.recipe_files import find_recipe
from ctran.training.run_folder import write_json

ANSWERS = 20
EVERY = 3
"""Of the test pictures, so that the study takes an hour and not three."""
POLICIES: tuple[Policy, ...] = ("information", "uncertainty", "total", "random")
ORDERS = 4
PLANTED_PICTURES = 200
LIMIT = 0.02
"""Largest relative difference that is asked for."""
OUT = Path(__file__).parents[1] / "docs" / "experiments" / "ask.json"
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


# -------------------------------------------------------------- what to ask


def walk(session: Session, truth: Tensor, policy: Policy, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Probabilities and states after 0, 1, ... answers, which are the annotation's."""
    states, said, told = torch.zeros_like(truth), [], []
    for number in range(ANSWERS + 1):
        said.append(session.marginals(states[None])[0])
        told.append(states)
        if number < ANSWERS:
            (question,) = acquisition.ask(session.marginals, session.labels, states, k=1, policy=policy, generator=generator)
            at = [session.labels.index(name) for name in question.labels]
            states = states.clone()
            states[at] = truth[at]
    return torch.stack(said), torch.stack(told)


def asked(sessions: list[Session], truth: Tensor, policy: Policy, seed: int) -> dict[str, list[float]]:
    """Over the number of answers: mAP of the unknown labels, share of pictures whose whole set is right, wrong labels each."""
    generator = torch.Generator().manual_seed(seed)
    walks = [walk(session, row, policy, generator) for session, row in zip(sessions, truth, strict=True)]
    said, told = (torch.stack(parts, dim=1).numpy() for parts in zip(*walks, strict=True))
    positive = (truth == LabelState.POSITIVE).numpy()
    found: dict[str, list[float]] = {"mAP": [], "right": [], "wrong": []}
    for p, states in zip(said, told, strict=True):
        hidden = states == int(LabelState.UNKNOWN)
        wrong = ((p >= 0.5) != positive) & hidden
        found["mAP"].append(metrics.measure(p.astype(np.float64), positive, hidden).mAP)
        found["right"].append(float(100 * (~wrong.any(axis=1)).mean()))
        found["wrong"].append(float(wrong.sum(axis=1).mean()))
    return found


# ------------------------------------------------------------ whole label sets


def likelihoods(sessions: list[Session], truth: Tensor, seed: int) -> dict[str, float]:
    """Mean log-likelihood of the annotated set, nats a picture: by the chain rule, and with independent marginals."""
    generator = torch.Generator().manual_seed(seed)
    chained, independent = [], []
    for session, full in zip(sessions, truth, strict=True):
        nothing = torch.zeros_like(full)
        chained.append(
            sets.log_likelihood(session.marginals, session.labels, nothing, full, orders=ORDERS, generator=generator)
        )
        p = session.marginals(nothing[None])[0].double()
        chance = torch.where(full == LabelState.POSITIVE, p, 1 - p)
        independent.append(float(chance.clamp(min=sets.LEAST).log().sum()))
    difference = np.subtract(chained, independent)
    error = float(difference.std(ddof=1) / math.sqrt(len(difference)))
    return {
        "chained": float(np.mean(chained)),
        "independent": float(np.mean(independent)),
        "difference": float(difference.mean()),
        "standard_error": error,
    }


# ------------------------------------------------------------ the exact posterior


def joint(world: World, drawn: np.ndarray, states: np.ndarray) -> np.ndarray:
    """P(y | what is drawn and told), of every row of ``world.all_states``, straight from the definition."""
    weights = world.probability.copy()
    for number, y in enumerate(world.all_states):
        for i, present in enumerate(y):
            chance = world.drawn_share[i] * present
            weights[number] *= chance if drawn[i] else 1 - chance
            if states[i] != LabelState.UNKNOWN and (states[i] == LabelState.POSITIVE) != bool(present):
                weights[number] = 0
    return weights / weights.sum()


def nats(p: np.ndarray) -> float:
    """Entropy of a distribution."""
    kept = p[p > 0]
    return float(-(kept * np.log(kept)).sum())


def exact_gains(world: World, p: np.ndarray, i: int, counts: np.ndarray) -> tuple[float, float]:
    """By enumeration, of asking for label ``i``: the fall of the sum of entropies, and of the joint entropy, of the labels that
    count beyond it."""
    others = [j for j in np.flatnonzero(counts) if j != i]
    summed = joined = 0.0
    groups = np.unique(world.all_states[:, others], axis=0, return_inverse=True)[1].ravel()

    def both(q: np.ndarray) -> tuple[float, float]:
        marginal = torch.from_numpy(q @ world.all_states[:, others])
        return float(entropy(marginal.clamp(0, 1)).sum()), nats(np.bincount(groups, q))

    summed, joined = both(p)
    for answer in (0.0, 1.0):
        left = p * (world.all_states[:, i] == answer)
        if left.sum() > 0:
            after = both(left / left.sum())
            summed -= left.sum() * after[0]
            joined -= left.sum() * after[1]
    return summed, joined


def planted_gains(predictor: Predictor, table: SampleTable, world: World, seed: int) -> dict[str, Any]:
    """All questions about all pictures, told nothing or two labels: computed, enumerated, joint, and by the trained model."""
    drawn, truth = planted_canvas.drawn(table), table.truth.rows(list(range(len(table)))).long()
    counts, rng = table.labels.targets, np.random.default_rng(seed)
    rows = []
    for row in range(len(table)):
        session = predictor.session(table.picture(row))
        for told in (0, 2):
            states = torch.zeros_like(truth[row])
            known = rng.permutation(len(states))[:told]
            states[known] = truth[row, known]
            exact = _exact_marginals(world, drawn[row])
            open_ = candidates(table.labels, states)
            p = joint(world, drawn[row], states.numpy())
            asked_for = (counts & (states == LabelState.UNKNOWN)).numpy()
            computed, learned = (
                information(marginals, states, marginals(states[None])[0], open_, counts)
                for marginals in (exact, session.marginals)
            )
            for question, gain, guess in zip(open_, computed, learned, strict=True):
                summed, joined = exact_gains(world, p, question.members[0], asked_for)
                rows.append((row, told, gain, summed, joined, guess))
    return _summary(np.array(rows))


def _exact_marginals(world: World, drawn: np.ndarray) -> acquisition.Marginals:
    def marginals(states: Tensor) -> Tensor:
        # what is drawn is present: an answer that denies it has no probability, so what follows from it does not matter
        told = np.where(drawn & (states.numpy() == LabelState.NEGATIVE), int(LabelState.UNKNOWN), states.numpy())
        found = torch.from_numpy(world.posterior(np.broadcast_to(drawn, told.shape), told))
        return torch.where(states == LabelState.UNKNOWN, found, (states == LabelState.POSITIVE).double()).float()

    return marginals


def _summary(rows: np.ndarray) -> dict[str, Any]:
    _, _, computed, summed, joined, learned = rows.T
    worth = summed > 1e-3  # nats; relative errors of nothing say nothing
    relative = np.abs(computed - summed)[worth] / summed[worth]
    chosen = dict[str, list[float]](joint=[], model=[], random=[])
    for key in np.unique(rows[:, :2], axis=0):
        here = (rows[:, :2] == key).all(axis=1)
        best = summed[here].max()
        if best > 1e-3:
            chosen["joint"].append(joined[here][summed[here].argmax()] / joined[here].max())
            chosen["model"].append(summed[here][learned[here].argmax()] / best)
            chosen["random"].append(summed[here].mean() / best)
    return {
        "questions": len(rows),
        "largest_relative_difference": float(relative.max()),
        "largest_difference": float(np.abs(computed - summed).max()),
        "mean_summed": float(summed.mean()),
        "mean_joint": float(joined.mean()),
        "correlation_summed_joint": float(np.corrcoef(summed, joined)[0, 1]),
        "mean_model": float(learned.mean()),
        "correlation_summed_model": float(np.corrcoef(summed, learned)[0, 1]),
        "share_of_the_best": {name: float(np.mean(values)) for name, values in chosen.items()},
    }


# -------------------------------------------------------------------- the page


def read() -> dict[str, Any]:
    """Figures so far."""
    return json.loads(OUT.read_text()) if OUT.exists() else {}


def keep(found: Any, *path: str) -> None:
    """Put one result among the others, and write page and figure again."""
    with FileLock(Path("runs") / "ask.lock"):
        results = read()
        at = results
        for name in path[:-1]:
            at = at.setdefault(name, {})
        at[path[-1]] = found
        write_json(OUT, results)
        write_page(results)


def done(*path: str) -> bool:
    """Whether a result is there."""
    at = read()
    for name in path:
        if name not in at:
            return False
        at = at[name]
    return True


PAGE = """# What to ask next

Written by `python -m benchmarks.ask`; raw figures in [ask.json](ask.json).

## Twenty questions

Every third test picture of the clip-art library ({pictures} of them), recipe `demo`, three seeds. Nothing is known at first,
then the model asks one label after the other and gets the annotated state: by `information` (expected information gain over the
other labels), by `uncertainty` (the label whose own probability is most open), by `total` (the sum of both: by how much the
summed entropy of all labels is expected to fall), or at `random`. Means over the seeds with their standard deviation.

![mAP and right sets against the number of answers](ask.png)

{answers}

* mAP: of the labels that are not known, in percent. The policies ask about different labels, so at a given number of answers
  they are scored on different ones.
* whole set right: share of the pictures all of whose labels are right, known ones as annotated, others from 50 % on.
* wrong labels: mean number a picture, of the 96.

How to read it: `information` counts what an answer tells about the *other* labels and not the answer itself, so it leaves open
what only its own question would settle. Uncertainty, which settles the most doubtful label first, makes whole sets right
sooner; information leaves the labels that it does not ask about easier to rank than uncertainty does. In `total` the answer's
own entropy outweighs what it contributes to the others, so here it asks nearly as uncertainty does, at the price of
information; it is the one to take where labels depend on each other more. Which is better depends on what the answers are for:
a complete annotation asks by uncertainty or total (as the studio does), a few answers that are to improve all others by
information.

## Whole label sets

Log-likelihood of the annotated set of each of these pictures, with nothing known, in nats a picture (higher is better), mean
over seeds: by revealing labels in turn (mean over {orders} random orders), and by taking all labels for independent. `every
share` is the recipe with `training.unknown_share: [0, 1]`, whose training shows every share of known labels; the demo's is
`[0.1, 1]`.

{sets}

What that training costs elsewhere, mAP on all test pictures:

{costs}

## Against the exact posterior

On the planted world every conditional follows by enumeration ([planted.md](planted.md)). With the exact conditionals plugged
in, the library's gain is compared with one that is enumerated by separate code, over all questions about {planted_pictures}
test pictures, with nothing known and with two labels known.

{planted}
"""


def write_page(results: dict[str, Any]) -> None:
    """``ask.md`` and ``ask.png``, from the figures so far."""
    text = PAGE.format(
        pictures=results.get("pictures", "?"),
        answers=answers_table(results.get("clipart")),
        orders=ORDERS,
        sets=sets_table(results.get("sets")),
        costs=costs_table(results.get("sets")),
        planted=planted_text(results.get("planted")),
        planted_pictures=PLANTED_PICTURES,
    )
    OUT.with_suffix(".md").write_text(text, encoding="utf-8")
    if results.get("clipart"):
        draw(results["clipart"])


PLANTED = """* {questions:,} questions. The computed gain differs from the enumerated one by at most {relative:.2g} %
  (asked: {limit:g} %: {verdict}; of gains above 0.001 nats) and by {largest_difference:.1e} nats.
* The sum over marginals is not the joint information gain: the mean gain is {mean_summed:.4f} nats by the sum and
  {mean_joint:.4f} jointly ({more:+.0f} %), correlation {correlation_summed_joint:.3f}. The question that the sum ranks first
  has {best_joint:.1f} % of the best joint gain, in the mean.
* The trained model in place of the exact posterior (8,000 pictures): mean gain {mean_model:.4f}, correlation with the exact one
  {correlation_summed_model:.3f}; its first question has {best_model:.1f} % of the best exact gain, one at random
  {best_random:.1f} %."""
MISSING = "Not run yet."
COLUMNS = {"mAP": ("mAP of unknown labels", ".1f"), "right": ("whole set right, %", ".1f"), "wrong": ("wrong labels", ".2f")}


def spread(values: list[float], form: str) -> str:
    """Mean and standard deviation over seeds."""
    deviation = f" ± {np.std(values, ddof=1):{form}}" if len(values) > 1 else ""
    return f"{np.mean(values):{form}}{deviation}"


def answers_table(found: dict[str, Any] | None) -> str:
    if not found:
        return MISSING
    shown, found = (0, 1, 2, 5, 10, 20), {policy: found[policy] for policy in POLICIES if policy in found}
    lines = []
    for name, (title, form) in COLUMNS.items():
        heads = " | ".join(map(str, shown))
        lines += [f"| {title} after | {heads} | seeds |", "|---" * (len(shown) + 2) + "|"]
        for policy, by_seed in found.items():
            cells = [spread([run[name][n] for run in by_seed.values()], form) for n in shown]
            lines.append(f"| {policy} | " + " | ".join(cells) + f" | {len(by_seed)} |")
        lines.append("")
    return "\n".join(lines)


def sets_table(found: dict[str, Any] | None) -> str:
    if not found:
        return MISSING
    lines = ["| recipe | in turn | independent | difference | seeds |", "|---|---|---|---|---|"]
    for variant, by_seed in found.items():
        runs = [run["likelihood"] for run in by_seed.values()]
        cells = [spread([run[name] for run in runs], ".2f") for name in ("chained", "independent", "difference")]
        lines.append(f"| {variant} | " + " | ".join(cells) + f" | {len(runs)} |")
    return "\n".join(lines)


def costs_table(found: dict[str, Any] | None) -> str:
    if not found:
        return MISSING
    lines = ["| recipe | 0 % known | 50 % | 75 % | seeds |", "|---|---|---|---|---|"]
    for variant, by_seed in found.items():
        cells = [spread([run["mAP"][n] for run in by_seed.values()], ".1f") for n in range(3)]
        lines.append(f"| {variant} | " + " | ".join(cells) + f" | {len(by_seed)} |")
    return "\n".join(lines)


def planted_text(found: dict[str, Any] | None) -> str:
    if not found:
        return MISSING
    relative, share = found["largest_relative_difference"], found["share_of_the_best"]
    return PLANTED.format(
        **{name: value for name, value in found.items() if name != "share_of_the_best"},
        relative=100 * relative,
        limit=100 * LIMIT,
        verdict="reached" if relative <= LIMIT else "**missed**",
        more=100 * (found["mean_summed"] / found["mean_joint"] - 1),
        **{f"best_{name}": 100 * value for name, value in share.items()},
    )


def draw(found: dict[str, Any]) -> None:
    """Curves over the number of answers, a band of one standard deviation."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    colours = dict[str, str](zip(POLICIES, (BLUE, INK, GOOD, GREY), strict=True))
    for axes, (name, title) in zip(
        figure.subplots(1, 2),
        (("mAP", "mAP of unknown labels (%)"), ("right", "pictures whose whole set is right (%)")),
        strict=True,
    ):
        for policy, by_seed in found.items():
            values = np.array([run[name] for run in by_seed.values()])
            middle, deviation = values.mean(axis=0), values.std(axis=0)
            axes.plot(middle, color=colours[policy], label=policy)
            axes.fill_between(
                range(len(middle)), middle - deviation, middle + deviation, color=colours[policy], alpha=0.15, lw=0
            )
        axes.set(title=title, xlabel="answers", xticks=range(0, ANSWERS + 1, 5))
        plain(axes)
    figure.axes[0].legend(frameon=False, fontsize=8)
    save_figure(figure, OUT.with_suffix(".png"))


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
