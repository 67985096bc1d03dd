"""Flags that several commands have: one type and one help text each. Imports nothing heavy: help is shown at once."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ctran.cli._types import count, natural, origin, percent, port, seconds

SPLITS = ("train", "val", "test")
REVEAL = ("random", "positives", "confident")

FLAGS: Mapping[str, Mapping[str, Any]] = {
    "--device": {"metavar": "DEVICE", "help": "that computes: auto (a GPU where there is one), cpu, cuda, cuda:1, mps"},
    "--root": {"metavar": "DIR", "help": "where the data are, if they have moved since training"},
    "--split": {"choices": SPLITS, "help": "which pictures"},
    "--count": {"type": count, "metavar": "N", "help": "how many pictures"},
    "--pictures": {"type": Path, "metavar": "PATH", "help": "pictures to use"},
    "--known": {"nargs": "+", "action": "extend", "metavar": "LABEL=yes|no", "help": "labels that are known"},
    "--known-share": {"type": percent, "metavar": "PERCENT", "help": "how much of the labels is known"},
    "--known-groups": {"type": natural, "metavar": "N", "help": "how many groups of extra labels are known"},
    "--reveal": {"choices": REVEAL, "help": "which labels become known first"},
    "--workers": {"type": natural, "metavar": "N", "help": "processes that read pictures"},
    "--seed": {"type": natural, "metavar": "N", "help": "of everything that is drawn at random"},
    "--labels": {"metavar": "LABELS", "help": "labels to use"},
    "--output": {"type": Path, "help": "what to write"},
    "--budget": {
        "type": seconds,
        "metavar": "TIME",
        "help": "time for training once image features are stored (90s, 5m, 1h): fewer epochs than the recipe's if need be",
    },
    "--host": {"help": "address to listen on"},
    "--port": {"type": port, "help": "0 takes any free one"},
    "--token-file": {"type": Path, "metavar": "FILE", "help": "clients must send this token (or: CTRAN_TOKEN)"},
    "--allow-host": {"nargs": "+", "metavar": "NAME", "help": "further names the server is called by"},
    "--cors": {"type": origin, "nargs": "+", "metavar": "ORIGIN", "help": "pages of these may use it"},
    "--open": {"action": "store_true", "help": "open the page in a browser"},
    "--in-flight": {"type": count, "metavar": "N", "help": "requests at once; others get 503"},
    "--max-upload": {"type": count, "metavar": "MIB", "help": "size of a request"},
    "--json": {"action": "store_true", "help": "print JSON"},
    "--csv": {"action": "store_true", "help": "print CSV"},
}
"""What :func:`add` takes; ``--root``, ``--seed`` and ``--source`` of commands that take recipe keys are keys of the recipe."""


def add(
    parser: argparse._ActionsContainer,
    flag: str,
    *names: str,
    more: str = "",
    shown: object = None,
    default: Any = None,
    **changed: Any,
) -> None:
    """Add a shared flag to a parser or a group of one.

    Args:
        parser: parser, argument group or exclusive group.
        flag: a key of :data:`FLAGS`.
        names: short names of it (``-o``).
        more: help of this command alone, appended to the shared help text.
        shown: the default in words, where it is not ``default`` itself.
        default: of the option.
        changed: further arguments of ``add_argument`` (``metavar``, ``nargs``).
    """
    shared = dict(FLAGS[flag])
    text = shared.pop("help") + (f"; {more}" if more else "")
    if shown is None and default not in (None, []):
        shown = default
    if shown is not None:
        text += f" (default: {shown})"
    if shared.get("action") != "store_true":
        changed["default"] = default
    parser.add_argument(*names, flag, help=text, **(shared | changed))


def add_device(parser: argparse._ActionsContainer) -> None:
    """``--device``, for :func:`ctran.devices.find_device`."""
    add(parser, "--device", default="auto")


def add_run(group: argparse._ActionsContainer, what: str = "run folder") -> None:
    """The model of a command: ``RUN`` and ``--device``."""
    group.add_argument("run", type=Path, metavar="RUN", help=what)
    add_device(group)
