"""The whole table by this library and by scikit-learn, and how good the bootstrap's intervals are.

    python -m benchmarks.metrics [--repeats 9]

Both make mAP, CP, CR, CF1, OP, OR, OF1, the last six also of the top three, and the AP of every label, from the same random
scores, in turns in one process; the figures must agree. Writes ``docs/experiments/metrics.json`` and ``metrics.md``. About two
minutes.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from ctran.metrics import bootstrap, measure, measure_all

OUT = Path(__file__).parents[1] / "docs" / "experiments" / "metrics.json"
SIZES = {"COCO-80": (40_137, 80, 2.94 / 80), "VG-500": (10_000, 500, 0.03)}
"""Test images, labels, share of positives."""
COLUMNS = ("mAP", *(prefix + name for prefix in ("", "top3_") for name in ("CP", "CR", "CF1", "OP", "OR", "OF1")))
WORLDS = {"weak": 1.5, "strong": 3.0}
"""By how many standard deviations a positive scores higher."""
IMAGES, LABELS, SHARE, DATA_SETS, REPLICATES, MANY = 1000, 20, 0.03, 100, 200, 200_000


def draw(images: int, labels: int, share: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random scores and truth."""
    rng = np.random.default_rng(seed)
    return rng.random((images, labels)), rng.random((images, labels)) < share


def by_ours(p: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 13 columns and the AP of each label (AUROC and the accuracies over images come along)."""
    table, rows = measure_all(p, t, np.ones_like(t))
    found = table.as_dict()
    return np.array([found[name] for name in COLUMNS]), np.array([ap for ap, _ in rows])


def by_sklearn(p: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same in the fewest scikit-learn calls: mAP is the mean of the APs, F1 comes with precision and recall."""
    aps = np.asarray(average_precision_score(t, p, average=None))  # pyright: ignore[reportArgumentType] its hints lack None
    columns = [aps.mean()]
    above = p >= 0.5
    for said in (above, above & (p >= np.partition(p, -3, axis=1)[:, [-3]])):
        cp, cr, _, _ = precision_recall_fscore_support(t, said, average="macro")
        op, recall, of1, _ = precision_recall_fscore_support(t, said, average="micro")
        columns += [cp, cr, 2 * cp * cr / (cp + cr), op, recall, of1]
    return 100 * np.array(columns), 100 * aps


def seconds(run: Callable[[], Any]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def largest_difference(p: np.ndarray, t: np.ndarray) -> float:
    """Between the two, over all figures, in percentage points."""
    return max(float(np.abs(a - b).max()) for a, b in zip(by_ours(p, t), by_sklearn(p, t), strict=True))


def race(images: int, labels: int, share: float, repeats: int) -> dict[str, Any]:
    """Times of both in turns, and by how much the figures differ, with all scores distinct and with many ties."""
    p, t = draw(images, labels, share)
    apart = max(largest_difference(p, t), largest_difference(p.round(3), t))
    if apart > 1e-9:
        raise SystemExit(f"the figures differ by {apart} percentage points on {images} x {labels}")
    pairs = [(seconds(lambda: by_ours(p, t)), seconds(lambda: by_sklearn(p, t))) for _ in range(repeats)]
    ours, theirs = np.array(pairs).T
    intervals = seconds(lambda: bootstrap(p, t, np.ones_like(t), replicates=100))
    shape = {"images": images, "labels": labels, "share": share, "largest_difference": apart, "bootstrap_100_s": intervals}
    return shape | {"ours_s": ours.tolist(), "sklearn_s": theirs.tolist(), "ratio": (theirs / ours).tolist()}


def world(gap: float, images: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Normal scores, positives higher by ``gap``, as probabilities; correlated within an image."""
    rng = np.random.default_rng(seed)
    t = rng.random((images, LABELS)) < SHARE
    z = rng.normal(size=t.shape) + 0.5 * rng.normal(size=(images, 1)) + gap * t
    return 1 / (1 + np.exp(1 + gap / 2 - z)), t


def coverage(gap: float) -> dict[str, Any]:
    """How often intervals of small data sets hold what very many images of the same world say, in percent."""
    p, t = world(gap, MANY, seed=0)
    truth = measure(p, t, np.ones_like(t)).as_dict()
    held, bare, width = ({n: [] for n in COLUMNS} for _ in range(3))
    above = []
    for seed in range(1, DATA_SETS + 1):
        p, t = world(gap, IMAGES, seed)
        intervals = bootstrap(p, t, np.ones_like(t), replicates=REPLICATES, seed=seed)
        figures = measure(p, t, np.ones_like(t)).as_dict()
        above.append(figures["mAP"] - truth["mAP"])
        for name in COLUMNS:
            low, high = intervals[name]
            held[name].append(low <= truth[name] <= high)
            bare[name].append(2 * figures[name] - high <= truth[name] <= 2 * figures[name] - low)
            width[name].append(high - low)
    rows = {
        n: {
            "truth": truth[n],
            "held": 100 * float(np.mean(held[n])),
            "held_by_quantiles": 100 * float(np.mean(bare[n])),
            "width": float(np.mean(width[n])),
        }
        for n in COLUMNS
    }
    return {"columns": rows, "mAP_above_truth": float(np.mean(above))}


def machine() -> dict[str, Any]:
    """What the times depend on."""
    vectors: Any = np.show_config(mode="dicts")
    return {
        "cores": os.cpu_count(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scikit-learn": sklearn.__version__,
        "vector extensions": vectors["SIMD Extensions"].get("found", []),
    }


def cell(values: list[float], form: str) -> str:
    """Median and range."""
    return f"{np.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


PAGE = """# What the metrics cost, and what their intervals are worth

Made by `OMP_NUM_THREADS=1 python -m benchmarks.metrics`, which wrote this page; raw figures in [metrics.json](metrics.json).
Machine: {machine}.

## Cost

The whole table (13 columns: mAP, CP, CR, CF1, OP, OR, OF1, the last six again for the top three) and the AP of every label.
scikit-learn in its fewest calls: one `average_precision_score` for the APs, whose mean is mAP, and four
`precision_recall_fscore_support`. Ours makes AUROC and three accuracies over images besides. One thread each, in turns in one
process, random scores; seconds and ratios: median and range of {repeats}.

| | images x labels | ours | scikit-learn | times faster | largest difference | 100 bootstrap replicates |
|---|---|---|---|---|---|---|
{cost}

The largest difference is over all figures, in percentage points, with distinct scores and with scores rounded to three
decimals (many ties). Asked for was a ratio of at least 4.

## Intervals

{sets} data sets of {images:,} images, {labels} labels with about {positives:.0f} positives each, {replicates} replicates. Held:
how often the 95 % interval holds what {many:,} images of the same world give.

| positives score higher by | column | truth | held | held by quantiles | mean width |
|---|---|---|---|---|---|
{coverage}

Where AP is low and positives are few, AP itself reads high: in the first world the mAP of a data set lies on average
{above:.1f} points above that of many images, and a resample, with fewer distinct positives, goes up once more. The intervals
(basic bootstrap) allow for that by mirroring the resamples at the figure; "held by quantiles" is what the resamples' own
quantiles would have held. Compare systems on the same images, under the same seed.
"""


def document(results: dict[str, Any]) -> str:
    """The page, from the figures."""
    where, sizes, worlds = results["machine"], results["sizes"], results["coverage"]
    cost = [
        f"| {name} | {r['images']:,} x {r['labels']} | {cell(r['ours_s'], '.2f')} | {cell(r['sklearn_s'], '.2f')} | "
        f"{cell(r['ratio'], '.1f')} | {r['largest_difference']:.0e} | {r['bootstrap_100_s']:.1f} s |"
        for name, r in sizes.items()
    ]
    held = [
        f"| {gap} sd | {column} | {r['truth']:.1f} | {r['held']:.0f} % | {r['held_by_quantiles']:.0f} % | {r['width']:.1f} |"
        for name, gap in WORLDS.items()
        for column in ("mAP", "CF1", "OF1", "top3_OF1")
        if (r := worlds[name]["columns"][column])
    ]
    return PAGE.format(
        machine=f"{where['cores']} cores ({where['architecture']}; numpy sees {' '.join(where['vector extensions'])}), "
        f"Python {where['python']}, numpy {where['numpy']}, scikit-learn {where['scikit-learn']}",
        repeats=len(next(iter(sizes.values()))["ratio"]),
        cost="\n".join(cost),
        sets=DATA_SETS,
        images=IMAGES,
        labels=LABELS,
        positives=IMAGES * SHARE,
        replicates=REPLICATES,
        many=MANY,
        coverage="\n".join(held),
        above=next(iter(worlds.values()))["mAP_above_truth"],
    )


def main() -> None:
    """Race, study, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    sizes = {name: race(*size, repeats) for name, size in SIZES.items()}
    worlds = {name: coverage(gap) for name, gap in WORLDS.items()}
    results = {"machine": machine(), "sizes": sizes, "coverage": worlds}
    OUT.write_text(json.dumps(results, indent=1) + "\n")
    OUT.with_suffix(".md").write_text(document(results))
    print(document(results))


if __name__ == "__main__":
    main()
