"""How long a command takes to start: fresh processes, wall time and processor time."""

import os
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
COMMANDS: dict[str, tuple[list[str], float]] = {
    "python -c pass": (["-c", "pass"], 0.0),
    "import ctran": (["-c", "import ctran"], 0.2),
    "ctran --version": (["-m", "ctran", "--version"], 0.3),
    "ctran --help": (["-m", "ctran", "--help"], 0.3),
    "ctran predict --help": (["-m", "ctran", "predict", "--help"], 0.3),
    "python -c 'import torch'": (["-c", "import torch"], 0.0),
    "ctran predict MODEL one.png": (["-m", "ctran", "predict", str(ROOT / "models" / "openclipart"), "{picture}"], 2.5),
}
"""Arguments of Python, and the most seconds of processor time; 0 is a yardstick without a target."""


def measured(arguments: list[str], threads: int) -> tuple[float, float]:
    """Wall time and processor time (user and system, all threads) of a fresh process, in seconds."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": str(threads)}
    start, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env=environment)
    wall, after = time.perf_counter() - start, os.times()
    return wall, (after.children_user + after.children_system) - (before.children_user + before.children_system)


def run(options: Options) -> dict[str, Any]:
    """Every command in turns, each once before the first round (files are then in memory)."""
    chosen = {n: c for n, c in COMMANDS.items() if not options.tiny or ("predict MODEL" not in n and "torch" not in n)}
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
    return "\n".join(lines)
