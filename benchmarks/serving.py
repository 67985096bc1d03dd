"""The server under load: clients that send pictures and click labels, on the same machine."""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

from benchmarks.harness import MIB, Options, say, verdict
from ctran.data.sources import openclipart
from ctran.folders.tagger import Tagger
from ctran.labels import LabelSpace
from ctran.training.pipeline import build_tagger
from ctran.training.recipe import read_recipe

TITLE = "The server under load"
TARGET = (
    "The demo's model: requests a second, p50 and p99 at 1, 8 and 32 clients; in 5 minutes at 32 clients no response but "
    "success and the promised 503, and resident memory within 5 % after the first minute."
)
CLIENTS = (1, 8, 32)
SECONDS, SOAK = 20, 300
CLICKS = 10
"""Labels that a client sets before it sends its next picture."""
MODEL = Path(__file__).parents[1] / "models" / "openclipart"
GROWTH = 0.05
TOY = ["--model.backbone", "test_resnet", "--model.image_size", "64", "--model.token_dim", "16", "--model.num_heads", "2"]
CACHE = 64
"""MiB for image tokens, so that it is full before the first minute is over."""


@dataclass
class Seen:
    """What one load met.

    Args:
        seconds: of each answer that succeeded, by kind (``click``, ``picture``).
        statuses: how often each status came.
    """

    seconds: dict[str, list[float]] = field(default_factory=lambda: {"click": [], "picture": []})
    statuses: Counter[int] = field(default_factory=Counter)


async def client(number: int, address: str, pictures: Sequence[bytes], names: Sequence[str], end: float, seen: Seen) -> None:
    """Send a picture, set labels one after the other, send the next."""
    random = np.random.default_rng(number)

    async def ask(kind: str, path: str, **content: Any) -> httpx.Response:
        start = time.perf_counter()
        response = await http.post(path, **content)
        seen.statuses[response.status_code] += 1
        if response.is_success:
            seen.seconds[kind].append(time.perf_counter() - start)
        elif response.status_code == 503:
            await asyncio.sleep(float(response.headers["retry-after"]))
        return response

    async with httpx.AsyncClient(base_url=address, timeout=120) as http:
        while time.monotonic() < end:
            sent = await ask("picture", "/v1/images", content=pictures[int(random.integers(len(pictures)))])
            if not sent.is_success:
                continue
            known = dict[str, bool]()
            order: list[int] = random.permutation(len(names)).tolist()
            for label in order[:CLICKS]:
                known[names[label]] = bool(random.random() < 0.5)
                await ask("click", f"/v1/images/{sent.json()['id']}/predict", json={"known": known})


async def load(clients: int, address: str, pictures: Sequence[bytes], names: Sequence[str], seconds: float) -> Seen:
    """So many clients at once."""
    seen, end = Seen(), time.monotonic() + seconds
    await asyncio.gather(*(client(n, address, pictures, names, end, seen) for n in range(clients)))
    return seen


async def soak(address: str, pictures: Sequence[bytes], names: Sequence[str], process: psutil.Process, seconds: float) -> Any:
    """The most clients for long, and the server's memory every few seconds."""
    running = asyncio.create_task(load(CLIENTS[-1], address, pictures, names, seconds))
    start, memory = time.monotonic(), list[tuple[float, int]]()
    while not running.done():
        memory.append((time.monotonic() - start, process.memory_info().rss))
        await asyncio.sleep(seconds / 60)
    return await running, memory


@contextmanager
def served(folder: Path, *flags: str) -> Iterator[tuple[str, psutil.Process]]:
    """``ctran serve`` on a free port: its address, its process."""
    command = [sys.executable, "-m", "ctran", "serve", str(folder), "--port", "0", *flags]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        yield server.stderr.readline().partition(" at ")[2].partition(" ")[0], psutil.Process(server.pid)
    finally:
        server.terminate()
        server.communicate(timeout=60)


def measure(folder: Path, pictures: Sequence[bytes], seconds: float, soaked: float) -> dict[str, Any]:
    """Start ``ctran serve``, load it."""
    names = Tagger.load(folder).labels.names
    with tempfile.TemporaryDirectory() as save, served(folder, "--save", save, "--cache", str(CACHE)) as (address, process):
        loads = []
        for clients in CLIENTS:
            seen = asyncio.run(load(clients, address, pictures, names, seconds))
            loads.append({"clients": clients, "seconds": seen.seconds, "statuses": _plain(seen.statuses)})
            say(f"  {clients} clients: {sum(map(len, seen.seconds.values())) / seconds:.0f} requests a second")
        seen, memory = asyncio.run(soak(address, pictures, names, process, soaked))
    long = {"seconds": soaked, "statuses": _plain(seen.statuses), "memory": memory}
    return {"loads": [_summary(each, seconds) for each in loads], "soak": long}


def _plain(statuses: Counter[int]) -> dict[str, int]:
    return {str(status): count for status, count in sorted(statuses.items())}


def _summary(found: dict[str, Any], seconds: float) -> dict[str, Any]:
    rows = {}
    for kind, times in found["seconds"].items():
        if times:
            rows[kind] = {
                "a_second": len(times) / seconds,
                "p50": statistics.median(times),
                "p99": float(np.quantile(times, 0.99)),
            }
    return {"clients": found["clients"], "kinds": rows, "statuses": found["statuses"]}


def run(options: Options) -> dict[str, Any]:
    table = openclipart.build(openclipart.Config())["test"]
    pictures = [table.content(row) for row in range(64)]
    if not options.tiny:
        return measure(MODEL, pictures, SECONDS, SOAK)
    with tempfile.TemporaryDirectory() as folder:
        labels = LabelSpace(tuple(f"label {n}" for n in range(12)))
        build_tagger(read_recipe(None, ["--model.weights", "none", *TOY]), labels).save(folder)
        return measure(Path(folder), pictures, 1, 3)


def growth(memory: Sequence[Sequence[float]], seconds: float) -> float:
    """By how much the greatest memory after the first fifth is above the median of the next tenth."""
    later = [(at, rss) for at, rss in memory if at >= seconds / 5]
    base = statistics.median([rss for at, rss in later if at <= 0.3 * seconds] or [later[0][1]])
    return max(rss for _, rss in later) / base - 1


def table(result: dict[str, Any]) -> str:
    heads = ("clients", "clicks a second", "p50, ms", "p99, ms", "pictures a second", "p50, ms", "p99, ms", "503")
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for found in result["loads"]:
        cells = [str(found["clients"])]
        for kind in ("click", "picture"):
            row = found["kinds"].get(kind)
            cells += [f"{row['a_second']:.1f}", f"{1e3 * row['p50']:.0f}", f"{1e3 * row['p99']:.0f}"] if row else ["", "", ""]
        lines.append("| " + " | ".join([*cells, str(found["statuses"].get("503", 0))]) + " |")
    long = result["soak"]
    other = {status: count for status, count in long["statuses"].items() if status not in ("200", "201", "503")}
    grown = growth(long["memory"], long["seconds"])
    counts = ", ".join(f"{count:,} of {status}" for status, count in long["statuses"].items())
    peak = max(rss for _, rss in long["memory"]) / MIB
    return "\n".join(
        [
            *lines,
            "",
            f"{long['seconds']:g} s at {CLIENTS[-1]} clients: {counts}; other responses: {len(other)} "
            f"({verdict(len(other), most=0)}). Resident memory after the first fifth grows by {100 * grown:.1f} % at most "
            f"({verdict(grown, most=GROWTH)}), {peak:.0f} MiB at its peak. Each client sends a picture and sets {CLICKS} "
            "labels, then the next; the clients run on the same cores.",
        ]
    )
