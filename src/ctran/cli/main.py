"""``ctran COMMAND``: finds the subcommand's file, turns expected errors into one clear line.

Nothing heavy is imported before a command runs: a command's file imports what it needs in its ``run``.
"""

import argparse
import re
import sys
import warnings
from collections.abc import Iterable, Sequence

import ctran.cli
from ctran import registry
from ctran.cli import _errors, _output
from ctran.cli._types import after_known
from ctran.errors import nearest
from ctran.version import __version__

TAKE_KEYS = ("train", "evaluate", "data", "compare")
"""Commands that take recipe keys beside their own flags."""

TAKE_RECIPE = ("train", "compare")
"""Commands whose first argument may be a recipe."""

KEY_FLAGS = ("--method", "--source", "--seed", "--root", "--absent", "--skip-broken")
"""Recipe keys whose flags have no dot."""

TAKE_KNOWN = ("predict", "plot")
"""Commands with ``--known LABEL=yes|no`` before or after positional arguments."""

COMMANDS = [name for name in registry.names(ctran.cli) if name != "main"]

KINDS = {"int": "a whole number", "float": "a number"}


class Parser(argparse.ArgumentParser):
    """Names the nearest command, flag or choice when one is not known."""

    def error(self, message: str) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        if message.startswith("unrecognized arguments: -"):
            flag = message.split()[2].partition("=")[0]
            message += nearest(flag, self._option_string_actions)
        elif found := re.search(r"invalid choice: '(.*)' \(choose from (.*)\)$", message, re.DOTALL):
            choices = [each.strip(" '") for each in found[2].split(",")]
            expected = f"expected one of {', '.join(choices)}, got {found[1]!r}{nearest(found[1], choices)}"
            message = message[: found.start()] + expected
        elif found := re.search(r"invalid (\w+) value: (.*)$", message, re.DOTALL):
            message = f"{message[: found.start()]}expected {KINDS.get(found[1], found[1])}, got {found[2]}"
        self.exit(2, f"{self.prog}: {message}\n(see {self.prog} --help)\n")


def make_parser() -> tuple[Parser, dict[str, Parser]]:
    """The parser of all commands, and that of each."""
    parser = Parser(prog="ctran", description=ctran.__doc__ and ctran.__doc__.splitlines()[0])
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    for name in COMMANDS:
        module = registry.find(ctran.cli, name)
        command = commands.add_parser(
            name,
            help=(module.__doc__ or name).splitlines()[0],
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
        command.add_argument("--debug", action="store_true", help="print the traceback of an error")
    return parser, dict(commands.choices)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Options of one command; wrong usage ends the program with status 2."""
    parser, commands = make_parser()
    name = next(iter(arguments), None)
    if name is None:
        parser.error(f"name a command: {', '.join(COMMANDS)}")
    if name and not name.startswith("-") and name not in commands:
        parser.error(f"there is no command {name!r}{nearest(name, COMMANDS)} (there are: {', '.join(COMMANDS)})")
    debug = name in commands and "--debug" in arguments
    arguments = [word for word in arguments if word != "--debug"] if debug else arguments
    first = None
    if name in TAKE_RECIPE and len(arguments) > 1 and not arguments[1].startswith("-"):
        first = arguments.pop(1)  # before argparse, which would take the value of an unknown flag for it
    if name in TAKE_KNOWN:
        arguments = after_known(arguments)
    options, rest = parser.parse_known_args(arguments)
    command = commands[options.command]
    if name in TAKE_KEYS:
        options.recipe, options.keys = first, rest
        check_keys(command, rest)
    elif rest:
        command.error(f"unrecognized arguments: {' '.join(rest)}")
    options.debug = debug
    return options


def check_keys(command: Parser, words: Iterable[str]) -> None:
    """Refuse a flag without a dot that is neither the command's nor a recipe key's."""
    for flag in (word.partition("=")[0] for word in words):
        if flag.startswith("--") and flag != "--" and "." not in flag and flag not in KEY_FLAGS:
            near = nearest(flag, [*command._option_string_actions, *KEY_FLAGS])
            command.error(f"unknown option {flag}{near or '; recipe keys have a dot: ctran train --keys lists them'}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status (0 done, 1 refused, 2 wrong usage, 130 interrupted)."""
    if arguments is None:
        _output.prepare()
    _output.escape_what_cannot_be_encoded()
    options = parse(list(sys.argv[1:] if arguments is None else arguments))
    options.whole_process = arguments is None  # else a caller goes on after the command
    warnings.filterwarnings("ignore", category=FutureWarning)
    try:
        return registry.find(ctran.cli, options.command).run(options)
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if options.debug:
            raise
        _errors.report(options.command, error)
        return 1


if __name__ == "__main__":
    sys.exit(main())
