"""The page and the table of a comparison of methods."""

from collections.abc import Sequence

import numpy as np

from ctran.analysis.compare import FIGURES, REPLICATES, Comparison, Difference, Row, difference

COSTS = ("parameters", "multiply_adds_picture", "multiply_adds_changed", "training_seconds", "ms_picture", "ms_changed")


def header(comparison: Comparison) -> list[str]:
    """Columns of the CSV file."""
    return ["method", "seed", *(f"{figure} {name}" for figure in FIGURES for name in comparison.settings), *COSTS]


def lines(comparison: Comparison) -> list[list[object]]:
    """Rows of the CSV file: a method and seed each, methods in their ranking."""
    rows = [row for name in comparison.ranking() for row in sorted(comparison.of(name), key=lambda row: row.seed)]
    return [_line(row) for row in rows]


def _line(row: Row) -> list[object]:
    figures = [f"{value:.4f}" for name in FIGURES for value in row.figures[name]]
    seconds = "" if row.training_seconds is None else f"{row.training_seconds:.2f}"
    times = [f"{value:.4f}" for value in row.milliseconds]
    return [row.method, row.seed, *figures, row.parameters, *row.multiply_adds, seconds, *times]


def page(comparison: Comparison, command: str) -> str:
    """The whole page, in Markdown.

    Args:
        command: that made it.
    """
    parts = [f"# Methods compared\n\n{_about(comparison)}"]
    if comparison.rows:
        parts += [f"## Ranking\n\n{ranking(comparison)}"]
        parts += [f"## {figure}\n\n{figures(comparison, figure)}" for figure in FIGURES]
        parts += [f"## Cost\n\n{costs(comparison)}"]
        parts += ["## Plots\n\n![mAP against known labels](known.png)\n\n![mAP against time](time.png)"]
    if comparison.left_out:
        reasons = "\n".join(f"- {name}: {' '.join(why.split())}" for name, why in sorted(comparison.left_out.items()))
        parts += [f"## Not compared\n\n{reasons}"]
    parts += [f"Command: `{command}`; every row: `comparison.csv`, resamples too: `comparison.json`."]
    return "\n\n".join(parts) + "\n"


def _about(comparison: Comparison) -> str:
    pictures = comparison.about.get("test pictures", "")
    return (
        f"Test pictures: {pictures}. All methods have the same pictures, backbone, options of training and known labels; "
        "options of a method are its defaults, those of the recipe for the recipe's own method; nothing is tuned here. Keys of "
        "the recipe that have no effect for a method are reset, so methods that are fitted in one step have no epochs. Figures "
        "are percentages over labels that are not known, with thresholds of one half; ± is the standard deviation over seeds. "
        "Stored image features, where the recipe stores them, are computed in bfloat16 where that is faster; `ctran evaluate` "
        "does not do that."
    )


def ranking(comparison: Comparison) -> str:
    """Methods by their mAP, and by how much each is below the best, in Markdown."""
    best, *_ = names = comparison.ranking()
    rows = []
    for number, name in enumerate(names, start=1):
        found = [difference(comparison, name, best, at) for at in (*range(len(comparison.settings)), None)]
        cells = ["best"] * len(found) if name == best else [_difference(each) for each in found]
        rows.append([str(number), name, f"{np.mean(comparison.mean(name)):.1f}", *cells])
    head = ["", "method", "mean mAP", *(f"less {best}, {name}" for name in comparison.settings), f"less {best}, mean"]
    return (
        f"{table(head, rows)}\n\nBy the mean over the settings. Differences of mAP have 95 % intervals, of {REPLICATES} "
        "resamples of the test pictures, the same for both methods, and of the seeds where there are several (two or three "
        "show little of their spread); each interval stands for itself, without a correction for many comparisons. "
        "`not different`: the interval holds 0."
    )


def _difference(found: Difference) -> str:
    text = f"{found.value:+.1f} [{found.low:+.1f}, {found.high:+.1f}]"
    return f"{text} not different" if found.is_none else text


def figures(comparison: Comparison, figure: str) -> str:
    """One of the figures in each setting, mean and spread of the seeds, in Markdown."""
    rows = []
    for name in comparison.ranking():
        pairs = zip(comparison.mean(name, figure), comparison.spread(name, figure), strict=True)
        cells = [f"{mean:.1f}" + ("" if np.isnan(spread) else f" ± {spread:.1f}") for mean, spread in pairs]
        rows.append([name, str(len(comparison.of(name))), *cells])
    return table(["method", "seeds", *comparison.settings], rows)


def costs(comparison: Comparison) -> str:
    """Parameters, operations and times, in Markdown."""
    rows = []
    for name in comparison.ranking():
        found = comparison.of(name)
        seconds = [row.training_seconds for row in found if row.training_seconds is not None]
        rows.append(
            [
                name,
                f"{found[0].parameters / 1e6:.3g} M",
                *(f"{value / 1e6:.3g} M" for value in found[0].multiply_adds),
                f"{np.mean(seconds):.1f}" if seconds else "not measured",
                *(f"{value:.3g}" for value in np.mean([row.milliseconds for row in found], axis=0)),
            ]
        )
    head = [
        "parameters",
        "multiply-adds a picture",
        "of a changed label",
        "training, s",
        "a picture, ms",
        "a changed label, ms",
    ]
    return (
        f"{table(['method', *head], rows)}\n\nParameters and multiply-adds are beside the backbone; milliseconds of a picture "
        "are with it, one picture at a time, on the machine that trained. Training is without the time for image features that "
        "are stored; `not measured` where the process of a training was killed."
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """In Markdown."""
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, ["---"] * len(head), *rows])
