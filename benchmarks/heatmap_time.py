"""How long one heat map takes: wall time and processor time, by precision and number of threads."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import torch

from benchmarks.harness import Options, say
from benchmarks.machine import bfloat16_is_timed, machine
from ctran.data.sources import openclipart
from ctran.folders.tagger import Tagger
from ctran.inference.predictor import Predictor

THREADS = (1,)
"""More threads wait for each other by spinning: on a machine in use, their processor time is mostly that."""
PICTURES = 20


def measured(run: Callable[[], object]) -> tuple[float, float]:
    """Wall time and processor time (all threads of this process) of a call, in seconds."""
    start, before = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - start, time.process_time() - before


def time_heatmaps(run: Path, pictures: int = PICTURES) -> dict[str, Any]:
    """Opening a picture (a session), and the heat map of its most probable label, for the first pictures of test.

    Args:
        run: folder of a model.
        pictures: how many; two more are done before, untimed.
    """
    busy = psutil.cpu_percent(interval=2)
    tagger = Tagger.load(run, "cpu")
    table = openclipart.build(openclipart.Config())["test"]
    opened = [table.picture(row) for row in range(pictures + 2)]
    threads, rows = torch.get_num_threads(), []
    predictors: dict[str, Predictor] = {"float32": tagger}
    if bfloat16_is_timed(Options()):
        predictors["bfloat16"] = tagger.fast()
    try:
        for name, predictor in predictors.items():
            for count in THREADS:
                torch.set_num_threads(count)
                found: dict[str, list[tuple[float, float]]] = {"session": [], "heat map": []}
                for picture in opened:
                    found["session"].append(measured(partial(predictor.session, picture)))
                    session = predictor.session(picture)
                    label = next(iter(session.predict().probabilities))
                    found["heat map"].append(measured(partial(session.heatmap, label)))
                rows.append({"precision": name, "threads": count} | {what: times[2:] for what, times in found.items()})
                say(f"  {name}, {count} threads: {median(wall for wall, _ in found['heat map'][2:]):.3f} s")
    finally:
        torch.set_num_threads(threads)
    return {"machine": machine(), "busy": busy, "rows": rows}


def time_table(result: dict[str, Any]) -> str:
    """Markdown: medians, with the least and the greatest in brackets."""
    lines = ["| precision | threads | session, wall s | heat map, wall s | heat map, processor s |", "|---|---|---|---|---|"]
    for row in result["rows"]:
        opening, (walls, cpus) = [wall for wall, _ in row["session"]], zip(*row["heat map"], strict=True)
        cells = [f"{median(v):.2f} ({min(v):.2f} to {max(v):.2f})" for v in (opening, walls, cpus)]
        lines.append(f"| {row['precision']} | {row['threads']} | {' | '.join(cells)} |")
    return "\n".join(lines)
