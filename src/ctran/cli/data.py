"""Data: the sources that recipes can name, what is in one, and label files of your own in other formats.

ctran data                           all sources, and where to get the published ones (nothing is ever downloaded)
ctran data voc2007                   options of one, and the files that it expects
ctran data show voc2007 --root DIR   counts, frequencies, co-occurrence; CSV and pictures into voc2007-data
ctran data show imagefolder --root DIR --absent negative --labels.extra "[season]"    any key of a recipe can be set
ctran data convert IN OUT --source csv --to coco --absent negative    a label file and its pictures in another format
ctran data check ROOT --absent negative --fix splits.csv    what is doubtful: near duplicates, leaks, rare labels, twins
"""

import argparse
import inspect
from pathlib import Path
from types import ModuleType

from ctran.cli._arguments import SPLITS, add
from ctran.errors import UserError

ACTIONS = {
    "show": ("show NAME --root DIR", 1),
    "convert": ("convert IN OUT --to FORMAT", 2),
    "check": ("check ROOT", 1),
}
"""What can be done: how it is called, and how many words follow."""
FLAGS = {
    "show": ("split", "seed", "output"),
    "convert": ("to", "source", "link", "positives_only"),
    "check": ("source", "json", "page", "fix"),
}
"""Flags of each."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command; recipe keys come beside those of an action."""
    parser.allow_abbrev = False
    parser.add_argument(
        "words", nargs="*", metavar="[ACTION] NAME", help="a source: its options; or what to do (above), and with what"
    )
    show = parser.add_argument_group("show")
    add(show, "--split", more="whose labels are paired and that are drawn", shown="train")
    add(show, "--seed", shown="0")
    add(show, "--output", metavar="FOLDER", more="CSV files and pictures", shown="NAME-data")
    convert = parser.add_argument_group("convert")
    convert.add_argument("--to", metavar="FORMAT", help="format to write: ctran data lists those that can be written")
    convert.add_argument("--link", action="store_true", help="pictures are hard links instead of copies")
    convert.add_argument("--positives-only", action="store_true", help="write present labels alone; all else is then unknown")
    check = parser.add_argument_group("check")
    add(check, "--json")
    check.add_argument("--page", type=Path, metavar="FILE.html", help="write a page with the pictures")
    check.add_argument("--fix", type=Path, metavar="FILE.csv", help="write splits, to be used with --data.splits")
    both = parser.add_argument_group("convert and check")
    both.add_argument("--source", metavar="FORMAT", help="format of IN or ROOT, as in ctran train (default: imagefolder)")


def run(options: argparse.Namespace) -> int:
    """Print one line a source or the options of one, or do what the first word says."""
    words: list[str] = options.words
    action = words[0] if words and words[0] in ACTIONS else None
    for other, flags in FLAGS.items():
        own = FLAGS.get(action or "", ())
        if other != action and (
            given := [flag for flag in flags if flag not in own and getattr(options, flag) not in (None, False)]
        ):
            flag = "--" + given[0].replace("_", "-")
            raise UserError(f"{flag} belongs to 'ctran data {ACTIONS[other][0]}'")
    if action is None:
        if len(words) > 1:
            expected = ", ".join(f"'ctran data {usage}'" for usage, _ in ACTIONS.values())
            raise UserError(f"expected {expected} or 'ctran data NAME', got 'ctran data {' '.join(words)}'")
        if options.keys:
            raise UserError(f"{options.keys[0]} belongs to 'ctran data {ACTIONS['show'][0]}', the name first")
        return explain(words[0]) if words else list_all()
    usage, count = ACTIONS[action]
    if len(words) != 1 + count:
        raise UserError(f"expected 'ctran data {usage}', got 'ctran data {' '.join(words)}'")
    if action == "show":
        from ctran.cli._data_show import show

        options.split, options.seed = options.split or SPLITS[0], options.seed or 0
        return show(words[1], options)
    if action == "check":
        from ctran.cli._data_check import check

        return check(Path(words[1]), options)
    from ctran.cli._data_convert import convert

    return convert(Path(words[1]), Path(words[2]), options)


def list_all() -> int:
    """All sources; then where the published ones come from."""
    from rich.console import Console
    from rich.table import Table

    from ctran import registry
    from ctran.data import sources

    table, modules = Table("source", "what it is"), dict[str, ModuleType]()
    for name, module in registry.each(sources):
        if isinstance(module, UserError):
            table.add_row(name, f"not usable: {module}")
        else:
            modules[name], package = module, registry.distribution_of(sources, name)
            table.add_row(name, f"{module.SUMMARY}{f' (package {package})' if package else ''}")
    Console(markup=False).print(table)
    print("Where to get them (by hand: ctran downloads nothing; 'ctran data NAME' lists the files that it expects)")
    for name, module in modules.items():
        if origin := getattr(module, "ORIGIN", None):
            print(f"  {name:<12}{origin.where or 'not public'}\n{'':14}{origin.size}\n{'':14}licence: {origin.licence}")
    return 0


def explain(name: str) -> int:
    """Options of one source, and where its files come from."""
    from ctran import registry
    from ctran.data import sources
    from ctran.training.key_help import keys_parser

    source = registry.find(sources, name)
    print(source.SUMMARY)
    described = (inspect.getdoc(source.Config) or "").partition("\nArgs:\n")[0]
    print(f"\n{described.replace('``', '').strip()}")
    if origin := getattr(source, "ORIGIN", None):
        print(origin)
    print()
    keys_parser(f"ctran train --source {name} [--data.KEY VALUE ...]", {"data": source.Config}, {}).print_help()
    if says := getattr(source, "SAYS", None):
        print(f"\nThis format can say of each label: {says.value.replace('`', '')}")
        print("ctran data convert writes it" if hasattr(source, "write") else "It is read, not written")
    print("\nKeys of method, labels, training and evaluation: ctran train --keys")
    return 0
