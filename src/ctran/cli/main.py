"""``ctran COMMAND``: finds the subcommand's file, turns expected errors into one clear line."""

import argparse
import sys
import warnings
from collections.abc import Sequence

import ctran.cli
from ctran import registry
from ctran.errors import nearest
from ctran.version import __version__

TAKE_KEYS = ("train", "evaluate", "datasets")
"""Commands that take recipe keys beside their own flags."""

COMMANDS = [name for name in registry.names(ctran.cli) if name != "main"]


class Parser(argparse.ArgumentParser):
    """Names the nearest command or flag when one is not known."""

    def error(self, message: str) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        if message.startswith("unrecognized arguments: -"):
            flag = message.split()[2].partition("=")[0]
            message += nearest(flag, self._option_string_actions)
        self.exit(2, f"{self.prog}: {message}\n(see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status (0 done, 1 refused, 2 wrong usage, 130 interrupted)."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    parser = Parser(prog="ctran", description=ctran.__doc__ and ctran.__doc__.splitlines()[0])
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    modules = {name: registry.find(ctran.cli, name) for name in COMMANDS}
    for name, module in modules.items():
        summary = (module.__doc__ or name).splitlines()[0]
        command = commands.add_parser(
            name, help=summary, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        module.add_arguments(command)
    first = None
    takes_keys = arguments[0] if arguments[:1] and arguments[0] in TAKE_KEYS else None
    if takes_keys == "train" and len(arguments) > 1 and not arguments[1].startswith("-"):
        first = arguments.pop(1)  # before argparse, which would take the value of an unknown flag for it
    options, rest = parser.parse_known_args(arguments)
    if takes_keys:
        options.recipe, options.keys = first, rest
    elif rest:
        commands.choices[options.command].error(f"unrecognized arguments: {' '.join(rest)}")
    warnings.filterwarnings("ignore", category=FutureWarning)
    try:
        return modules[options.command].run(options)
    except KeyboardInterrupt:
        return 130
    except (ValueError, RuntimeError, OSError) as error:
        if isinstance(error, RuntimeError) and type(error) is RuntimeError:
            raise  # a bug, or torch: the trace helps
        message = str(error)
        if "Original Traceback" in message:  # PyTorch's account of an error in a process that loads pictures
            message = message.strip().splitlines()[-1].partition(": ")[2]
        print(f"ctran {options.command}: {message}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
