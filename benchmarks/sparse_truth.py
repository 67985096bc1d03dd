"""Truth of 100,000 pictures and 20,000 labels, ten positive in each: bytes, seconds, and the memory that a process needs.

    python -m benchmarks.sparse_truth [--repeats 9]

Prints JSON. ``dense_bytes`` is what one byte an entry would take. Memory is the peak of a fresh process that builds the table,
its truth and a batch, and what it has before that, with all imported.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset

from ctran.data.table import SampleTable
from ctran.labels import LabelSpace, LabelState

PICTURES, LABELS, POSITIVES, BATCH = 100_000, 20_000, 10, 32
LABEL_SPACE = LabelSpace(tuple(f"label {i}" for i in range(LABELS)))


def make_rows() -> Dataset:
    """Ids and sorted random labels as they come from a Parquet file; no pictures behind them."""
    rng = np.random.default_rng(0)
    width = LABELS // POSITIVES
    labels = rng.integers(width, size=(PICTURES, POSITIVES), dtype=np.int32) + width * np.arange(POSITIVES, dtype=np.int32)
    ids = [f"{i:06}" for i in range(PICTURES)]
    columns = {
        "image": pa.StructArray.from_arrays([pa.nulls(PICTURES, pa.binary()), pa.array(ids)], names=["bytes", "path"]),
        "id": pa.array(ids),
        "positives": lists(np.arange(PICTURES + 1) * POSITIVES, labels.ravel()),
        "negatives": lists(np.zeros(PICTURES + 1), np.zeros(0)),
    }
    return Dataset(pa.table(columns))


def lists(offsets: np.ndarray, labels: np.ndarray) -> pa.ListArray:
    """An Arrow column of lists."""
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), pa.array(labels.astype(np.int32)))


def make_table(rows: Dataset) -> SampleTable:
    """The table, with its truth built and checked."""
    table = SampleTable(rows, LABEL_SPACE, LabelState.NEGATIVE)
    _ = table.truth
    return table


def seconds(call: Callable[[], Any], repeats: int) -> float:
    """Median wall time."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def peak() -> float:
    """Most memory of this process so far, in MB, as Linux counts it (``getrusage`` would count the parent's as well)."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in status if line.startswith("VmHWM"))


def measure_memory() -> dict[str, float]:
    """Peak in MB before, and with table, truth and one batch."""
    before = peak()
    make_table(make_rows()).truth.rows(range(BATCH))
    return {"imported_mb": before, "peak_mb": peak()}


def run(repeats: int) -> dict[str, Any]:
    """All figures, each time the median of ``repeats``."""
    rows = make_rows()
    truth = make_table(rows).truth
    batch = np.random.default_rng(1).permutation(PICTURES)[:BATCH]
    fresh = subprocess.run([sys.executable, "-m", __spec__.name, "--memory"], check=True, capture_output=True, text=True)
    return {
        "pictures": PICTURES,
        "labels": LABELS,
        "positives_a_picture": POSITIVES,
        "truth_bytes": truth.nbytes,
        "dense_bytes": PICTURES * LABELS,
        "build_s": seconds(lambda: make_table(rows), repeats),
        "batch": BATCH,
        "batch_s": seconds(lambda: truth.rows(batch).long(), repeats),
        "counts_s": seconds(truth.counts, repeats),
        "memory": json.loads(fresh.stdout),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--memory", action="store_true", help="only the memory of this process")
    options = parser.parse_args()
    print(json.dumps(measure_memory() if options.memory else run(options.repeats), indent=1))


if __name__ == "__main__":
    main()
