"""How long a command takes to start: fresh processes, wall time and processor time."""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from PIL import Image

from benchmarks.harness import Options, say, verdict

TITLE = "Start-up"
TARGET = (
    "`ctran --version` and every `--help` take at most 0.3 s of processor time, `import ctran` at most 0.2 s, and "
    "`ctran predict` of one picture (the shipped model, a fresh process) at most 2.5 s. Python's own start is part of each "
    "figure."
)
ROOT = Path(__file__).parents[1]
TORCH = "python -c 'import torch'"
TIMM = "import torch and timm, as ctran does"
PREDICT = "ctran predict MODEL one.png"
COMMANDS: dict[str, tuple[list[str], float]] = {
    "python -c pass": (["-c", "pass"], 0.0),
    "import ctran": (["-c", "import ctran"], 0.2),
    "ctran --version": (["-m", "ctran", "--version"], 0.3),
    "ctran --help": (["-m", "ctran", "--help"], 0.3),
    "ctran predict --help": (["-m", "ctran", "predict", "--help"], 0.3),
    TORCH: (["-c", "import torch"], 0.0),
    TIMM: (["-c", "import ctran.model.networks"], 0.0),
    PREDICT: (["-m", "ctran", "predict", str(ROOT / "models" / "openclipart"), "{picture}"], 2.5),
}
"""Arguments of Python, and the most seconds of processor time; 0 is a yardstick without a target."""


def measured(arguments: list[str], threads: int) -> tuple[float, float]:
    """Wall time and processor time (user and system, all threads) of a fresh process, in seconds."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": str(threads)}
    start, before = time.perf_counter(), _children()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - start, _children() - before


def _children() -> float:
    """Processor time of all ended child processes, in seconds; ``os.times`` counts it in ticks of 10 ms, which Python's own
    start may not fill."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run(options: Options) -> dict[str, Any]:
    """Every command in turns, each once before the first round (files are then in memory)."""
    chosen = {n: c for n, c in COMMANDS.items() if not options.tiny or n not in (TORCH, TIMM, PREDICT)}
    rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in chosen}
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "one.png"
        Image.new("RGB", (640, 480), (200, 30, 30)).save(picture)
        for number in range(options.repeats + 1):
            for name, (arguments, _) in chosen.items():
                found = measured([a.format(picture=picture) for a in arguments], options.threads)
                if number:
                    rounds[name].append(found)
            say(f"  round {number} of {options.repeats} done{' (warming up)' if not number else ''}")
    for name, found in rounds.items():
        say(f"  {name}: {median(w for w, _ in found):.2f} s, {median(c for _, c in found):.2f} s of processor time")
    return {"rounds": {name: [list(pair) for pair in found] for name, found in rounds.items()}}


def table(result: dict[str, Any]) -> str:
    """Medians, with the least and the greatest in brackets."""
    lines = ["| command | wall, s | processor, s | target |", "|---|---|---|---|"]
    for name, found in result["rounds"].items():
        walls, cpus = zip(*found, strict=True)
        most = COMMANDS[name][1]
        cells = [f"{median(v):.2f} ({min(v):.2f} to {max(v):.2f})" for v in (walls, cpus)]
        lines.append(f"| `{name}` | {' | '.join(cells)} | {verdict(median(cpus), most=most, unit=' s') if most else ''} |")
    return "\n".join([*lines, *parts(result["rounds"])])


def parts(rounds: dict[str, list[list[float]]]) -> list[str]:
    """What a prediction's processor time consists of, for the page; nothing where it was not measured."""
    if PREDICT not in rounds:
        return []
    torch, timm, whole = (median(cpu for _, cpu in rounds[name]) for name in (TORCH, TIMM, PREDICT))
    return [
        "",
        f"Of the {whole:.2f} s of processor time of a prediction the import of PyTorch takes {torch:.2f} s and that of timm, "
        f"with the parts of torchvision that it needs, {timm - torch:.2f} s; the rest, {whole - timm:.2f} s, is the library's: "
        "imports, reading the model and the picture, the prediction, the table. torchvision imports PyTorch's compiler for two "
        "functions, which takes nearly as long as PyTorch itself: `model/networks.py` defers that.",
    ]
