"""Build the label sets of the suite from public packages.

    python -m benchmarks.suite list
    python -m benchmarks.suite build lucide --output /data/suite/lucide
    python -m benchmarks.suite build lucide --share 0.05 --output /data/suite/lucide-5
    python -m benchmarks.suite measure --sets lucide --folder /data/suite
    python -m benchmarks.suite sheet /data/suite/lucide --output lucide.png

``build`` fetches the packages of the set with npm, once, into --packages; nothing else uses a network. ``split`` makes the
committed list of a set again, which is needed only when its packages or rules change.
"""

import argparse
import json
import sys
from pathlib import Path

from benchmarks.suite import build, page, sets
from benchmarks.suite.held_out import held_out
from benchmarks.suite.measure import METHODS, Job, measure
from benchmarks.suite.packages import open_all
from benchmarks.suite.sheet import write_sheet
from benchmarks.suite.table import table
from ctran import registry
from ctran.data import sources
from ctran.data.cache_folder import default_root
from ctran.errors import UserError


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.suite", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="the sets")
    counts = commands.add_parser("table", help="what is in the sets, as the README shows it; draws nothing")
    one = commands.add_parser("build", help="write one set as a folder of pictures with metadata.csv")
    one.add_argument("--output", type=Path, required=True, help="the folder, which must not exist")
    one.add_argument("--share", type=float, default=1.0, help="of the training and validation pictures; default: all (1.0)")
    again = commands.add_parser("split", help="make the committed list of pictures and splits again")
    for command in (one, again, counts):
        if command is not counts:
            command.add_argument("name", help="of the set")
        command.add_argument(
            "--packages",
            type=Path,
            default=default_root() / "suite",
            help="folder of their archives; default: %(default)s",
        )
    figures = commands.add_parser("measure", help="train methods on built sets and write docs/experiments/suite.md")
    figures.add_argument("--sets", nargs="+", help="default: all that are built, and the library's own")
    figures.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), help="default: all")
    figures.add_argument("--seeds", type=int, default=1, help="number of seeds, from 0; default: %(default)s")
    figures.add_argument("--folder", type=Path, required=True, help="with the built sets, a folder each")
    figures.add_argument("--runs", type=Path, help="folder of the trained models; default: FOLDER/runs")
    sheet = commands.add_parser("sheet", help="a page of pictures of a built set, with their labels, as PNG")
    sheet.add_argument("folder", type=Path)
    sheet.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    try:
        run(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def run(options: argparse.Namespace) -> None:
    """One command."""
    if options.command == "list":
        final = held_out()
        for name in registry.names(sets):
            print(f"{name:12} {'held out  ' if name in final else '          '}{build.find(name).SUMMARY}")
    elif options.command == "table":
        print(table([build.describe(_prepared(name, options.packages)) for name in registry.names(sets)]))
    elif options.command == "measure":
        built = sorted(path.parent.name for path in options.folder.glob("*/build.json"))
        names = options.sets or [*built, *(name for name in registry.names(sets) if name in registry.names(sources))]
        jobs = [Job(n, m, seed) for seed in range(options.seeds) for n in names for m in options.methods]
        print(page.write(measure(jobs, options.folder, options.runs or options.folder / "runs")))
    elif options.command == "sheet":
        write_sheet(options.folder, options.output)
    else:
        name, archives = options.name, open_all(build.find(options.name).PACKAGES, options.packages)
        if options.command == "build":
            label_set = build.prepare(name, archives).subset(options.share)
            print(json.dumps(build.write(label_set, options.output, archives), indent=1, ensure_ascii=False))
        elif not archives:
            raise UserError(f"{name} has the splits of its source; there is no list to make")
        else:
            label_set = build.propose(name, build.collect(name, archives))
            print(f"{build.write_list(label_set)}: {json.dumps(build.describe(label_set), ensure_ascii=False)}")


def _prepared(name: str, packages: Path) -> build.LabelSet:
    return build.prepare(name, open_all(build.find(name).PACKAGES, packages))


if __name__ == "__main__":
    sys.exit(main())
