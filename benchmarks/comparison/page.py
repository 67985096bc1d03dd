"""The page, the table and the plots, from the raw rows."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.comparison.entries import ENTRIES, NOT_COMPARED, RATES
from benchmarks.comparison.planted import EPOCHS, PICTURES, REFERENCES
from benchmarks.comparison.results import Results
from ctran.analysis.compare import FIGURES, Comparison, difference
from ctran.analysis.compare_page import costs, figures, header, lines, ranking, table
from ctran.files import write_text
from ctran.plots.comparison import Compared, accuracy_by_known, accuracy_by_time
from ctran.plots.style import save_rows

SUBJECT = "ctran"
"""The paper's model, whose place is stated in words."""
CURVES = 10
"""Methods in the plot of known labels, the best ones, beside these:"""
ALWAYS = ("linear", SUBJECT)
APART = [each.name for each in ENTRIES if each.recipe is not None]
TOGETHER = [each.name for each in ENTRIES if each.recipe is None]


def page(results: Results) -> str:
    """The whole page, in Markdown."""
    found, apart = results.comparison(TOGETHER), results.comparison(APART)
    parts = [f"# Methods compared\n\n{_about(results)}"]
    if found.rows:
        parts += [f"## Result\n\n{verdict(found)}", f"## Ranking\n\n{ranking(found)}"]
        parts += ["![mAP against the known share](comparison-known.png)", "![mAP against time](comparison-cost.png)"]
        parts += [f"## {figure}\n\n{figures(found, figure)}" for figure in FIGURES]
    if apart.rows:
        parts += [f"## With other image features\n\n{_apart(found, apart)}"]
    if found.rows:
        parts += [f"## Cost\n\n{costs(results.comparison([*TOGETHER, *APART]))}\n\n{COST}"]
    if results.planted:
        parts += [f"## Against the exact posterior\n\n{_planted(results)}"]
    parts += [f"## What was tuned\n\n{_trials(results)}", f"## Options\n\n{_options()}"]
    reasons = {**NOT_COMPARED, **results.left_out}
    parts += ["## Not compared\n\n" + "\n".join(f"- {name}: {' '.join(why.split())}" for name, why in sorted(reasons.items()))]
    if missing := [each.name for each in ENTRIES if each.name not in results.left_out and not _measured(results, each.name)]:
        parts += [f"## Not measured yet\n\n{_listed(missing)}: the same command goes on with them."]
    parts += [f"## Made by\n\n{MADE}"]
    return "\n\n".join(parts) + "\n"


def _about(results: Results) -> str:
    pictures = results.about.get("clipart", {}).get("test pictures", "")
    seeds = sorted({each.row.seed for each in results.rows})
    return (
        "What a method is worth if all else is equal: the same pictures (the clip art, 96 labels), backbone "
        "(EfficientNet-lite0, frozen), stored image features (the last map, 7 x 7 places of 1,280 channels, of three views of "
        "each training picture), augmentation, known labels in testing (five draws) and number of trials for the learning "
        "rate. Ten epochs for every method that is trained in epochs. Figures are percentages over the labels that are not "
        f"known, on {pictures} test pictures, means over the draws and the seeds ({', '.join(map(str, seeds)) or 'none yet'}; "
        "the tables state how many of each).\n\n"
        "**What this is not.** The published figures of these methods are of networks that were trained end to end on COCO, "
        "with dozens of times as many pictures; here the backbone does not train, ten epochs are few, and 3,273 pictures "
        "favour methods with few weights. Methods that ignore known labels cannot rise with them: their columns differ only "
        "because other labels are left to predict. Those that choose label sets (`cnn_rnn`, `order_free_rnn`) or rank by "
        "scores that are no probabilities (`rnn_attention`) are at a disadvantage in mAP or F1, for which they were not made. "
        "Methods fitted in one step choose their penalties by cross-validation on the training pictures, which takes the "
        "place of trials."
    )


def verdict(found: Comparison) -> str:
    """Where C-Tran stands, in words."""
    names = found.ranking()
    if SUBJECT not in names:
        return f"`{SUBJECT}` is not measured yet."
    parts = []
    for at, share in [*enumerate(found.settings), (None, "the mean of the settings")]:
        values = {name: found.mean(name)[at] if at is not None else float(np.mean(found.mean(name))) for name in names}
        order = sorted(values, key=lambda name: -values[name])
        place, best = order.index(SUBJECT) + 1, order[0]
        where = f"at {share} known" if at is not None else f"in {share}"
        if place == 1:
            parts.append(f"- {where} it is first of {len(order)}, with {values[SUBJECT]:.1f}")
            continue
        gap = difference(found, SUBJECT, best, at)
        how = ", which is no difference" if gap.is_none else ""
        interval = f"{gap.value:+.1f} [{gap.low:+.1f}, {gap.high:+.1f}]"
        parts.append(
            f"- {where} it is **not first** but number {place} of {len(order)}, with {values[SUBJECT]:.1f}; first is `{best}` "
            f"with {values[best]:.1f}, and {SUBJECT} less {best} is {interval}{how}"
        )
    better = [name for name in names if name != SUBJECT and _differs(found, name, 1)]
    same = [name for name in names if name != SUBJECT and difference(found, name, SUBJECT).is_none]
    worse = [name for name in names if name != SUBJECT and _differs(found, name, -1)]
    listed = [f"{what}: {_listed(some)}" for what, some in (("above it", better), ("no difference", same), ("below it", worse))]
    return (
        f"C-Tran, the paper's model (`{SUBJECT}`), mAP on test:\n\n"
        + "\n".join(parts)
        + "\n\nBy the mean of the settings, with 95 % intervals of the difference: "
        + "; ".join(listed)
        + "."
    )


def _measured(results: Results, name: str) -> bool:
    return any(each.row.method == name for each in results.rows)


def _differs(found: Comparison, name: str, sign: int) -> bool:
    """Whether a method is above, or below, C-Tran."""
    gap = difference(found, name, SUBJECT)
    return not gap.is_none and sign * gap.value > 0


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "none"


def _apart(found: Comparison, apart: Comparison) -> str:
    """Rows that cannot be ranked with the others."""
    best = f"; the best method above, `{found.ranking()[0]}`, has {_maps(found, found.ranking()[0])}" if found.rows else ""
    return (
        "`quick` and `auto` are the library's own recipes as shipped: they also have the maps of the backbone's inner stages, "
        "and greatest beside mean values, so that a lead over the table above is not one of the method alone. mAP"
        f"{best}:\n\n{figures(apart, 'mAP')}"
    )


def _maps(found: Comparison, name: str) -> str:
    return " / ".join(f"{value:.1f}" for value in found.mean(name))


def _planted(results: Results) -> str:
    """Excess of the log-loss of each entry, the least first."""
    names = list(dict.fromkeys(each.entry for each in results.planted))
    means = {name: np.mean([each.values for each in results.planted if each.entry == name], axis=0) for name in names}
    rows = []
    for name in sorted(names, key=lambda name: float(np.mean(means[name]))):
        seeds = [each for each in results.planted if each.entry == name and each.seed is not None]
        shown = f"*{name}*" if name in REFERENCES else name
        cells = [*(f"{value:.4f}" for value in means[name]), f"{float(np.mean(means[name])):.4f}"]
        rows.append([shown, str(len(seeds)) if seeds else "", *cells])
    return (
        "Log-loss above that of the exact posterior, in nats a label that is not known, on a [planted world](planted.md) of "
        f"{PICTURES:,} training and 1,000 test pictures, 7 labels, {EPOCHS} epochs, the learning rates of the clip art; the "
        "exact posterior is of a reader who recognises every drawn object, and has 0: no method can be below. In italics are "
        "the exact posterior without the known labels, which no method that ignores them can beat, and the prevalence of each "
        "label. This table asks for probabilities: scores that only rank labels have large values here.\n\n"
        + table(["method", "seeds", *results.settings, "mean"], rows)
    )


def _trials(results: Results) -> str:
    rows = []
    for name in dict.fromkeys(each.entry for each in results.trials):
        scores = {each.rate: each.score for each in results.trials if each.entry == name}
        best = results.chosen(name)
        cells = [f"{scores[rate]:.1f}" if rate in scores else "" for rate in RATES]
        rows.append([name, *(f"**{cell}**" if rate == best else cell for rate, cell in zip(RATES, cells, strict=True))])
    return (
        "The learning rate of the head, and nothing else: three trials for each method that is trained in epochs, with seed 0; "
        "the table has the mAP on `val`, mean of the known shares, and the chosen rate in bold. Seeds 1 and 2 have the rate of "
        "seed 0. A rate at an end of the range may be better still beyond it. `feedback_prop` has the weights of `linear`, and "
        "its steps are those of its paper.\n\n" + table(["method", *(f"{rate:g}" for rate in RATES)], rows)
    )


def _options() -> str:
    noted = "\n".join(f"- `{each.name}`: {each.note}" for each in ENTRIES if each.note)
    return (
        "All are trained with AdamW (batches of 32, weight decay 0.01, cosine schedule, gradient norm at most 1, moving "
        "average of the weights), which is not what each paper uses, and start at the labels' frequencies where they have a "
        "bias for each label; the epoch with the best mAP on `val` is kept. Options of a method are the library's defaults, "
        "which are those of its paper, but for widths: networks wide enough for a ResNet-101 would take hours on one core.\n\n"
        + noted
    )


COST = (
    "All times are processor time, not elapsed time, on one thread of a machine that did other work too: of training with "
    "validation after each epoch, without the trials; of a picture and of a changed label the least of ten calls."
)
MADE = (
    "`python -m benchmarks.comparison` (rows that are in [comparison.json](comparison.json) are kept), from which "
    "`--write-only` makes this page, [comparison.csv](comparison.csv) and the plots again."
)


def write(results: Results, folder: Path) -> Path:
    """Write page, table and plots."""
    path = folder / "comparison.md"
    found, every = results.comparison(TOGETHER), results.comparison([*TOGETHER, *APART])
    write_text(path, page(results))
    if every.rows:
        save_rows(header(every), lines(every), folder / "comparison.csv")
    if found.rows:
        names = found.ranking()
        shown = [name for place, name in enumerate(names) if place < CURVES or name in ALWAYS]
        known = list(found.settings.values())
        accuracy_by_known([_drawn(found, name) for name in shown], known, "known labels (%)", folder / "comparison-known.png")
        accuracy_by_time([_drawn(found, name) for name in names], folder / "comparison-cost.png")
    return path


def _drawn(found: Comparison, name: str) -> Compared:
    time = float(np.mean([row.milliseconds[0] for row in found.of(name)]))
    return Compared(name, found.mean(name).tolist(), found.spread(name).tolist(), time)
