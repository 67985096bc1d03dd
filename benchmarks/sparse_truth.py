"""Truth of many pictures and labels: bytes, seconds, and the memory that a process needs."""

from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset

from benchmarks.harness import Options, interleave, spread, verdict
from benchmarks.memory import Step, peak_memory
from ctran.data.table import SampleTable
from ctran.labels import LabelSpace, LabelState

TITLE = "Truth of 100,000 pictures and 20,000 labels"
TARGET = "Ten positive labels a picture take under 16 MB."
MOST = 16
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


def run(options: Options) -> dict[str, Any]:
    """All figures; times in turns."""
    rows = make_rows()
    truth = make_table(rows).truth
    batch = np.random.default_rng(1).permutation(PICTURES)[:BATCH]
    calls = {"table and truth": lambda: make_table(rows), "a batch": lambda: truth.rows(batch), "counts": truth.counts}
    return {
        "bytes": truth.nbytes,
        "dense_bytes": PICTURES * LABELS,
        "times": interleave(calls, options.repeats),
        "memory": {} if options.tiny else peak_memory(build, options=options),
    }


def build() -> Step:
    """Table, truth and one batch, from rows."""
    rows = make_rows()
    return Step(lambda: make_table(rows).truth.rows(range(BATCH)))


def table(result: dict[str, Any]) -> str:
    lines = [
        "| | |",
        "|---|---|",
        f"| truth | {result['bytes'] / 1e6:.2f} MB ({verdict(result['bytes'] / 1e6, most=MOST, unit=' MB')}) |",
    ]
    lines.append(f"| a byte an entry would take | {result['dense_bytes'] / 1e6:,.0f} MB |")
    if result["memory"]:
        lines.append(
            f"| a process grows for table, truth and a batch of {BATCH} by | {result['memory']['activations'] / 1e6:.0f} MB |"
        )
    lines += [f"| {name} | {spread([1e3 * t for t in times])} ms |" for name, times in result["times"].items()]
    return "\n".join(lines)
