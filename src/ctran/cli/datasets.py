"""List the data sets and file formats that recipes can name as their source."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of this command."""
    parser.add_argument("name", nargs="?", help="one source: its options")


def run(options: argparse.Namespace) -> int:
    """Print one line a source, or the options of one."""
    from rich.console import Console
    from rich.table import Table

    from ctran import registry
    from ctran.data import sources
    from ctran.training.recipe import print_help

    if options.name:
        registry.find(sources, options.name)
        print_help("ctran", options.name)
        return 0
    table = Table("source", "what it is")
    for name in registry.names(sources):
        table.add_row(name, registry.find(sources, name).SUMMARY)
    Console().print(table)
    return 0
