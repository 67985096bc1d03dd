"""How fast COCO-80's table is built and found again: the figures of ``docs/experiments/coco-table.md``.

    python -m benchmarks.coco_table [--folder DIR] [--starts 5]

COCO itself is not needed. A stand-in of its real size is written to a folder that is deleted afterwards (about 1 GB): two
instance files with as many pictures, annotations and bytes of polygons as the official ones, and a picture file, empty, of each
official name's form. Then fresh processes build the table: first without a cache, then from it.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

import numpy as np

DOCUMENTS = Path(__file__).parents[1] / "docs" / "experiments"
TARGETS = {"first build, seconds": 60, "peak memory, GiB": 3, "second start, seconds": 2}
MISSING_IDS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
"""Category ids between 1 and 90 that COCO does not use."""
COORDINATES = (10, 158)
"""Least and greatest number of coordinates of a polygon; evenly spread, they give the official files' sizes."""


@dataclass(frozen=True)
class Half:
    """How many of what a half of COCO 2014 holds."""

    name: str
    pictures: int
    empty: int
    annotations: int


HALVES = (Half("train2014", 82_783, 702, 604_907), Half("val2014", 40_504, 367, 291_875))


def polygons(rng: np.random.Generator, number: int = 4000) -> list[str]:
    """Outlines as JSON; there are fewer of them than annotations, which makes no difference to a reader that skips them."""
    sizes = rng.integers(*COORDINATES, number)
    return ["[[" + ",".join(f"{x:.2f}" for x in rng.uniform(0, 640, size)) + "]]" for size in sizes]


def write_list(file: TextIO, rows: Iterable[str]) -> None:
    """With commas, one by one: a child's peak memory counts from its parent's, so this process stays small."""
    for n, row in enumerate(rows):
        file.write(f",\n{row}" if n else row)


def write_half(root: Path, half: Half, rng: np.random.Generator) -> int:
    """One instance file and its pictures; bytes of the file. Every picture has an annotation but the first ``empty`` ones."""
    (root / half.name).mkdir(parents=True)
    names = [f"COCO_{half.name}_{i:012}.jpg" for i in rng.permutation(581_929)[: half.pictures]]
    for name in names:
        (root / half.name / name).touch()
    pictures = np.arange(half.empty, half.pictures)
    owners = rng.permutation(np.append(pictures, rng.choice(pictures, half.annotations - len(pictures))))
    categories = [i for i in range(1, 91) if i not in MISSING_IDS]
    kinds, outlines = rng.choice(categories, half.annotations), polygons(rng)
    shapes, areas = rng.integers(len(outlines), size=half.annotations), rng.uniform(10, 90_000, half.annotations)
    path = root / "annotations" / f"instances_{half.name}.json"
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as file:
        file.write('{"info":{"description":"stand-in of COCO 2014\'s size"},"images":[')
        rows = (
            f'{{"license":5,"file_name":"{name}","coco_url":"http://example.org/{half.name}/{name}","height":480,"width":640,'
            f'"date_captured":"2013-11-14 16:28:13","flickr_url":"http://example.org/{i:010}_{i:010}_z.jpg","id":{i}}}'
            for i, name in enumerate(names)
        )
        write_list(file, rows)
        file.write('],"annotations":[')
        rows = (
            f'{{"segmentation":{outlines[shape]},"area":{area:.4f},"iscrowd":0,"image_id":{owner},'
            f'"bbox":[199.84,200.46,77.71,70.88],"category_id":{kind},"id":{n}}}'
            for n, (shape, area, owner, kind) in enumerate(zip(shapes, areas, owners, kinds, strict=True))
        )
        write_list(file, rows)
        file.write('],"categories":[')
        rows = (f'{{"supercategory":"super {n % 12}","id":{i},"name":"category {i}"}}' for n, i in enumerate(categories))
        write_list(file, rows)
        file.write("]}")
    return path.stat().st_size


CHILD = """
import json, resource, sys, time
from pathlib import Path
from ctran.data.sources import coco80
start, worked = time.perf_counter(), time.process_time()
tables = coco80.build(coco80.Config(Path(sys.argv[1])))
seconds, worked = time.perf_counter() - start, time.process_time() - worked
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
pictures = {split: len(table) for split, table in tables.items()}
print(json.dumps({"build_s": seconds, "build_cpu_s": worked, "peak_gib": peak, "pictures": pictures}))
"""


def measure(root: Path, cache: Path) -> dict[str, Any]:
    """One fresh process: seconds of ``build`` and of the whole process, peak resident memory in GiB, pictures."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(root)],
        env={**os.environ, "CTRAN_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return json.loads(done.stdout) | {"process_s": time.perf_counter() - start}


def run(folder: Path, starts: int) -> dict[str, Any]:
    """Write the stand-in, build, start again ``starts`` times."""
    rng = np.random.default_rng(0)
    sizes = {half.name: write_half(folder / "coco", half, rng) for half in HALVES}
    first = measure(folder / "coco", folder / "cache")
    again = [measure(folder / "coco", folder / "cache") for _ in range(starts)]
    assert all(a["pictures"] == first["pictures"] for a in again)
    return {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "versions": {"python": platform.python_version()}
        | {n: version(n) for n in ("msgspec", "pyarrow", "datasets", "torch")},
        "targets": TARGETS,
        "json_bytes": sizes,
        "annotations": {half.name: half.annotations for half in HALVES},
        "first": first,
        "again": again,
    }


def cells(row: dict[str, Any], target: int) -> str:
    """Figures of one row of the report."""
    build = f"{row['build_s']:.2f} s | {target} s | {row['build_cpu_s']:.2f} s"
    return f"{build} | {row['process_s']:.1f} s | {row['peak_gib']:.2f} GiB"


def document(result: dict[str, Any]) -> str:
    """The report."""
    first, again = result["first"], result["again"]
    middle = {key: statistics.median(a[key] for a in again) for key in again[0] if key != "pictures"}
    sizes = " and ".join(f"{n / 1e6:.0f} MB" for n in result["json_bytes"].values())
    pictures = ", ".join(f"{n:,} {split}" for split, n in first["pictures"].items())
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    return f"""# Building COCO-80's table

    python -m benchmarks.coco_table

A stand-in of COCO 2014's real size (the data themselves are not in the repository): instance files of {sizes}, with
{" and ".join(f"{n:,}" for n in result["annotations"].values())} annotations and their polygons; {pictures} pictures.
{result["machine"]}; {versions}.
Files in the page cache, each row a fresh process (second start: median of {len(again)}). The machine is shared, so the
processor time of `build` is in the next column.

| | `build` | target | its processor time | whole process, imports too | peak memory | target |
|---|---|---|---|---|---|---|
| first build | {cells(first, TARGETS["first build, seconds"])} | {TARGETS["peak memory, GiB"]} GiB |
| second start, from the cache | {cells(middle, TARGETS["second start, seconds"])} | |

msgspec reads the JSON into records that have only the fields in use, so no polygon becomes an object. The second start reads
three Parquet files and a label list. The rest of a process is the import of PyTorch, torchvision and `datasets`.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where the stand-in is written and deleted; the system's by default")
    parser.add_argument("--starts", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        result = run(Path(folder), given.starts)
    (DOCUMENTS / "coco-table.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (DOCUMENTS / "coco-table.md").write_text(document(result), encoding="utf-8")
    print(document(result))


if __name__ == "__main__":
    main()
