"""Directives that take their text from the package: help of a command, heads of the shipped recipes, options of sources."""

import argparse
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import ctran.cli
from ctran import methods, recipes, registry
from ctran.cli.main import make_parser
from ctran.data import sources
from ctran.training.recipe_files import shipped


class CommandHelp(SphinxDirective):
    """``--help`` of every command, a section each."""

    def run(self) -> Sequence[nodes.Node]:
        _, commands = make_parser()
        found = []
        for name, parser in sorted(commands.items()):
            parser.formatter_class = _wide
            found.append(section(f"ctran {name}", nodes.literal_block(text=parser.format_help(), language="text")))
        return found


class RecipeHeads(SphinxDirective):
    """The head of every shipped recipe, a section each."""

    def run(self) -> Sequence[nodes.Node]:
        folder = Path(recipes.__path__[0])
        found = []
        for name in shipped():
            lines = (folder / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
            head = [line.removeprefix("#").strip() for line in lines if line.startswith("#")]
            found.append(section(name, nodes.literal_block(text="\n".join(head), language="text")))
        return found


class Registered(SphinxDirective):
    """Names and first lines of what recipes can name: ``methods``, ``sources`` or ``commands``."""

    required_arguments = 1

    def run(self) -> Sequence[nodes.Node]:
        package: Any = {"methods": methods, "sources": sources, "commands": ctran.cli}[self.arguments[0]]
        items = []
        for name in (name for name in registry.files(package) if name != "main"):
            module = import_module(f"{package.__name__}.{name}")
            line = getattr(module, "SUMMARY", None) or (module.__doc__ or "").splitlines()[0]
            items.append(nodes.list_item("", nodes.paragraph("", "", nodes.literal(text=name), nodes.Text(f": {line}"))))
        return [nodes.bullet_list("", *items)]


def section(title: str, *content: nodes.Node) -> nodes.section:
    """A section with an address of its title."""
    return nodes.section("", nodes.title(text=title), *content, ids=[nodes.make_id(title)], names=[title])


def _wide(prog: str) -> argparse.HelpFormatter:
    return argparse.RawDescriptionHelpFormatter(prog, width=88)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("command-help", CommandHelp)
    app.add_directive("recipe-heads", RecipeHeads)
    app.add_directive("registered", Registered)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
