"""Measure, and write ``docs/performance.md``.

    python -m benchmarks forward what_if        some benchmarks
    python -m benchmarks all                    all of them, one after the other
    python -m benchmarks --write-only           the page again from docs/performance.json

Each benchmark is a module of this package with ``TITLE``, ``TARGET`` (Markdown), ``run(options) -> plain data`` and
``table(result) -> Markdown``, which also finds the ``ceiling`` in the result. A result replaces its own entry of
``docs/performance.json`` and leaves the others as they are. Run them on a machine that does nothing else.
"""

import argparse
import datetime
import json
import os
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil
import torch

from benchmarks.harness import Options, say
from benchmarks.machine import ceiling, machine
from ctran.training.run_folder import write_json

NAMES = (
    *("forward", "rounding", "exported", "what_if", "train_step", "head_memory", "labels", "sparse_truth", "jpeg"),
    *("serving", "studio_click", "collection", "demo_profile", "startup"),
)
"""In the order of the page. The studies of accuracy have commands and pages of their own."""
BUSY = 10
"""Percent of the processor in use by others, above which timings are not worth keeping."""
DOCS = Path(__file__).parents[1] / "docs"

INTRODUCTION = """# Speed and memory

Made by `python -m benchmarks NAME` from [performance.json](performance.json), which holds every single time.

**The yardstick** in every table of a model is the *literal* one (`src/ctran/model/reference.py`): the paper's formulas with
PyTorch's own modules in float32, with the weights of the library's model; that logits and gradients are the same is tested.
**Ratios** state how many times as fast as the literal model something is: both run in turns in one process, so that what
disturbs the machine disturbs both; a cell has the median over the rounds and, in brackets, the least and the greatest.
**Memory** is the growth of a fresh process. **The ceiling** is the rate of products of two 2,048 x 2,048 matrices (smaller ones
where a product would take above a second) on the same threads; a share of it shows how near a model comes to what the processor
can do. Weights are random unless a row states otherwise; they make no difference to speed.

Why no asv or pytest-benchmark: asv times each candidate in a separate process and compares commits, pytest-benchmark finishes
one candidate before it starts the next; neither gives ratios of calls that took turns.
"""


def section(name: str, entry: dict[str, Any] | None) -> str:
    """One benchmark on the page."""
    module = import_module(f"benchmarks.{name}")
    head = f"## {module.TITLE}\n\n**Target.** {module.TARGET}\n"
    if entry is None:
        return f"{head}\nNot measured yet: `python -m benchmarks {name}`\n"
    where, limit = entry["machine"], entry["ceiling"]
    versions = ", ".join(f"{library} {number}" for library, number in where["versions"].items())
    busy = f"{entry['busy']:.0f} % busy before" if "busy" in entry else "how busy it was before not recorded"
    made = (
        f"{entry['date']}, `{entry['command']}`; {where['system']}, {where['vectors']}, {where['cores']} cores, "
        f"{where['memory_gib']:g} GiB, {where['threads']} threads, {busy}; {versions}; ceiling {limit['float32']:.0f} "
        f"GFLOP/s float32, {limit['bfloat16']:.0f} bfloat16."
    )
    return f"{head}\n{module.table(entry['result'] | {'ceiling': limit})}\n\n{made}\n"


def page(results: dict[str, Any]) -> str:
    """All benchmarks, in the order of :data:`NAMES`."""
    return "\n".join([INTRODUCTION, *(section(name, results.get(name)) for name in NAMES)])


def read(folder: Path) -> dict[str, Any]:
    """Results so far."""
    path = folder / "performance.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def measure(name: str, options: Options, folder: Path) -> None:
    """Run one benchmark and put its result among the others."""
    module = import_module(f"benchmarks.{name}")
    say(f"{name}: {module.TITLE}")
    busy = psutil.cpu_percent(interval=0.1 if options.tiny else 2)
    if busy > BUSY and not options.tiny:
        say(f"  other work is going on ({busy:.0f} % of the processor): the figures will say little, ratios included")
    limit = ceiling(256 if options.tiny else 2048)
    entry = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": f"python -m benchmarks {name} --repeats {options.repeats} --threads {options.threads}",
        "machine": machine(),
        "busy": busy,
        "ceiling": limit,
        "result": module.run(options),
    }
    write_json(folder / "performance.json", read(folder) | {name: entry})  # read anew: others may have been added meanwhile


def write_page(folder: Path) -> None:
    """``performance.md`` from ``performance.json``."""
    part = folder / "performance.md.part"
    part.write_text(page(read(folder)), encoding="utf-8")
    part.replace(folder / "performance.md")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all, or some of {', '.join(NAMES)}")
    parser.add_argument("--repeats", type=int, default=5, help="timed rounds (default: 5)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of PyTorch (default: all cores)")
    parser.add_argument("--write-only", action="store_true", help="measure nothing, write the page again")
    parser.add_argument("--tiny", action="store_true", help="toy sizes, to try the code; needs --folder")
    parser.add_argument("--folder", type=Path, default=DOCS, help="of performance.json and .md (default: docs)")
    given = parser.parse_args(arguments)
    names = NAMES if given.names == ["all"] else tuple(given.names)
    if unknown := [name for name in names if name not in NAMES]:
        parser.error(f"there is no benchmark {unknown[0]!r}; expected all, or some of {', '.join(NAMES)}")
    if bool(names) == given.write_only:
        parser.error("name benchmarks to run, or give --write-only, one of the two")
    if given.repeats < 1 or given.threads < 1:
        parser.error("--repeats and --threads take numbers from 1 on")
    if given.tiny and given.folder == DOCS:
        parser.error("--tiny measures nothing worth keeping: give another --folder")
    torch.set_num_threads(given.threads)
    given.folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        measure(name, Options(given.repeats, given.threads, given.tiny), given.folder)
        write_page(given.folder)
    if given.write_only:
        write_page(given.folder)
    say(f"written to {given.folder / 'performance.md'}")


if __name__ == "__main__":
    main()
