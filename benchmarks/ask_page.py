"""The page and the figure about what to ask, and the figures behind them, which are kept one by one."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from matplotlib.figure import Figure

from benchmarks.ask_measure import ANSWERS, ORDERS, POLICIES
from benchmarks.ask_planted import LIMIT, PLANTED_PICTURES
from ctran.plots.style import BLUE, GOOD, GREY, INK, plain, save_figure
from ctran.training.run_folder import write_json

OUT = Path(__file__).parents[1] / "docs" / "experiments" / "ask.json"


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
