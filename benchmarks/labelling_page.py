"""The page and the figure about the clicks that a folder costs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.harness import verdict
from benchmarks.labelling_simulate import SCREEN, SYSTEMS
from benchmarks.labelling_text import PAGE
from ctran.files import write_text
from ctran.plots.style import BLUE, GREY, INK, plain, save_figure

Rows = Sequence[Mapping[str, Any]]
OURS = ("quick", "quick-teaches")
STYLES = {
    "none": (GREY, "-"),
    "linear": (INK, "--"),
    "linear-unsure": (INK, "-"),
    "quick": (BLUE, "--"),
    "quick-teaches": (BLUE, "-"),
}
DOUBLED = 2.0
"""Growth of the labelled pictures from one fit to the next, of the main rows."""
COUNTS = {"picture by picture": ("clicks", "to_f1"), "grid": ("grid_clicks", "grid_to_f1")}
"""Ways of confirming, and where their clicks are in a row."""


def write_page(results: Mapping[str, Any], output: Path) -> None:
    """``labelling.md`` and ``labelling.png`` beside the figures."""
    rows: Rows = results.get("rows", [])
    main = [row for row in rows if row["habit"] == "missing" and row["growth"] == DOUBLED]
    if main:
        plot(main, output.with_suffix(".png"))
    text, sizes = PAGE, next(iter(rows), {"pictures": 0, "labels": 0})
    parts = {
        "seeds": seeds(main),
        "clicks": clicks_table(main),
        "levels": levels_table(main),
        "asked": asked(main),
        "models": models_table(main),
        "rhythm": rhythm_table(rows),
        "habits": habits_table(rows),
        "wall": wall(results.get("click")),
        "of_random": _share(of(main, "quick-teaches"), of(main, "linear"), "to_f1", "95") or "(not run)",
        "screens": f"{sizes['labels'] * -(-sizes['pictures'] // SCREEN):,}",
    }
    for name, part in parts.items():
        text = text.replace(f"{{{name}}}", part)
    write_text(output.with_suffix(".md"), text)


def of(rows: Rows, system: str) -> Rows:
    """Rows of one system."""
    return [row for row in rows if row["system"] == system]


def mean(rows: Rows, *path: str) -> float:
    """Of a figure over the seeds; not a number where there is none."""
    return float(np.mean(_values(rows, *path))) if rows else float("nan")


def _values(rows: Rows, *path: str) -> list[float]:
    found = []
    for row in rows:
        at: Any = row
        for name in path:
            at = at[name]
        found.append(float(at))
    return found


def cell(rows: Rows, *path: str) -> str:
    """Mean and standard deviation over the seeds."""
    if not rows:
        return "not run"
    values = _values(rows, *path)
    spread = f" ± {np.std(values, ddof=1):,.0f}" if len(values) > 1 else ""
    return f"{np.mean(values):,.0f}{spread}"


def _share(rows: Rows, base: Rows, *path: str) -> str:
    """Of the mean of other rows; empty where one is missing."""
    return f"{mean(rows, *path) / mean(base, *path):.2f}" if rows and base else ""


def _lines(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in (heads, *rows)]
    return "\n".join([lines[0], "|---" * len(heads) + "|", *lines[1:]])


def seeds(rows: Rows) -> str:
    """How many seeds each system has."""
    counts = {SYSTEMS[name].title: len(of(rows, name)) for name in SYSTEMS if of(rows, name)}
    return ", ".join(f"{title} {number}" for title, number in counts.items())


def clicks_table(rows: Rows) -> str:
    """Clicks until every label set is right."""
    heads = [
        "",
        "corrections",
        "clicks, picture by picture",
        "of no model",
        "of linear",
        "clicks, grid",
        "of no model",
        "of linear",
    ]
    found = []
    for name, system in SYSTEMS.items():
        own, cells = of(rows, name), [system.title, cell(of(rows, name), "corrections")]
        for key, _ in COUNTS.values():
            cells.append(cell(own, key))
            cells += [_share(own, of(rows, base), key) for base in ("none", "linear")]
        found.append(cells)
    return _lines(heads, found)


def levels_table(rows: Rows) -> str:
    """Clicks until the folder has a micro-F1."""
    levels = ("90", "95", "99")
    heads = ["", *(f"{level} %{end}" for end in ("", ", grid") for level in levels)]
    return _lines(
        heads,
        [
            [system.title, *(cell(of(rows, name), key, level) for _, key in COUNTS.values() for level in levels)]
            for name, system in SYSTEMS.items()
        ],
    )


def asked(rows: Rows) -> str:
    """Targets, and what was reached by the best of our orders and by each."""
    heads = ["asked", *(SYSTEMS[name].title for name in OURS), "with the grid: " + SYSTEMS["quick-teaches"].title]
    targets = (
        ("every label set right, of no model", "none", 0.60, None),
        ("every label set right, of linear, random order", "linear", 0.80, None),
        ("F1 of 95 %, of no model", "none", 0.50, "95"),
        ("F1 of 95 %, of linear, least sure first", "linear-unsure", 0.70, "95"),
    )
    found = []
    for title, base, most, level in targets:
        cells = [f"{title}: at most {most:.2f}"]
        for name, way in [*((name, "picture by picture") for name in OURS), ("quick-teaches", "grid")]:
            path = (COUNTS[way][0],) if level is None else (COUNTS[way][1], level)
            share = mean(of(rows, name), *path) / mean(of(rows, base), *path)
            cells.append("not run" if np.isnan(share) else f"{share:.3f}, {verdict(share, most=most).split(': ')[1]}")
        found.append(cells)
    return _lines(heads, found)


def models_table(rows: Rows) -> str:
    """Corrections a picture while each model was in use."""
    starts = [model["known"] for model in max((row["models"] for row in rows), key=len, default=[])]
    heads = ["labelled before", *(f"{start:,}" for start in starts), "seconds of one core for the last fit"]
    found = []
    for name, system in SYSTEMS.items():
        own = of(rows, name)
        if not own or system.model is None:
            continue
        parts = np.array([[model["corrections"] / model["pictures"] for model in row["models"]] for row in own])
        last = np.mean([row["models"][-1]["processor_seconds"] for row in own])
        found.append([system.title, *(f"{each:.2f}" for each in parts.mean(axis=0)), f"{last:.0f}"])
    return _lines(heads, found)


def rhythm_table(rows: Rows) -> str:
    """Clicks with other numbers of fits, of the seeds that both have."""
    found = []
    for name, system in SYSTEMS.items():
        own = [row for row in of(rows, name) if row["habit"] == "missing"]
        for growth in sorted({row["growth"] for row in own} - {DOUBLED}, reverse=True):
            often = [row for row in own if row["growth"] == growth]
            seen = {row["seed"] for row in often}
            usual = [row for row in own if row["growth"] == DOUBLED and row["seed"] in seen]
            fits = f"{len(often[0]['models']) - 1} instead of {len(usual[0]['models']) - 1}" if usual else ""
            base = [row for row in of(rows, "none") if row["seed"] in seen]
            share = f"{mean(often, 'clicks') / mean(base, 'clicks'):.2f}"
            found.append([system.title, fits, cell(usual, "clicks"), cell(often, "clicks"), share, cell(often, "to_f1", "95")])
    heads = ["", "fits", "clicks, fits as above", "clicks, more fits", "of no model", "F1 of 95 %, more fits"]
    return _lines(heads, found) if found else "Not run (`--growth 1.4142`)."


def habits_table(rows: Rows) -> str:
    """Corrections by what the annotator sets right first, of the seeds that the first column has."""
    found = []
    for name in OURS:
        own = [row for row in of(rows, name) if row["growth"] == DOUBLED]
        usual = [row for row in own if row["habit"] == "missing"]
        if usual:
            once = np.mean([sum(model["wrong_at_first"] for model in row["models"]) for row in usual])
            down = [row for row in own if row["habit"] == "top"]
            found.append([SYSTEMS[name].title, cell(usual, "corrections"), f"{once:,.0f}", cell(down, "corrections")])
    heads = ["corrections", "what is missing first", "if none changed the prediction", "down the list"]
    return _lines(heads, found) if found else "Not run."


def wall(click: Mapping[str, Any] | None) -> str:
    """Time of a click in the studio."""
    if click is None:
        return "Not run."
    rows = []
    for title, times in click["seconds"].items():
        late = float(np.quantile(times, 0.95))
        median = f"{1e3 * np.median(times):.0f}"
        rows.append([title, str(len(times)), median, f"{1e3 * late:.0f}", verdict(1e3 * late, most=100, unit=" ms")])
    return _lines(["", "number", "median, ms", "95 of 100 below, ms", "asked"], rows) + f"\n\n{click['where']}"


def plot(rows: Rows, path: Path) -> None:
    """Clicks against labelled pictures, and F1 against clicks; means over the seeds."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, (colour, style) in STYLES.items():
        own = of(rows, name)
        if not own:
            continue
        curve = np.array([row["curve"] for row in own], dtype=float).mean(axis=0)
        left.plot(curve[:, 0], curve[:, 1], style, color=colour, label=SYSTEMS[name].title)
        right.plot(curve[:, 1], curve[:, 3], style, color=colour)
    left.set(xlabel="labelled pictures", ylabel="clicks", title="every label set right")
    right.set(xlabel="clicks", ylabel="micro-F1 of the whole folder (%)", title="pictures not confirmed take the prediction")
    for level in (90, 95, 99):
        right.axhline(level, color=GREY, linewidth=0.5, zorder=0)
    right.set_ylim(40, 101)
    for axes in (left, right):
        plain(axes)
        axes.title.set_fontsize(10)
    left.legend(frameon=False, fontsize=8)
    save_figure(figure, path)
