"""Types of command-line values, and checks of where output goes. Imports nothing heavy."""

import argparse
import os
import re
from collections.abc import Sequence
from pathlib import Path

from ctran.errors import UserError

BOOLEANS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a whole number, got {text!r}") from None


def _real(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}") from None


def natural(text: str) -> int:
    """A whole number from 0 on."""
    if (value := _whole(text)) < 0:
        raise argparse.ArgumentTypeError(f"expected at least 0, got {text}")
    return value


def count(text: str) -> int:
    """A whole number from 1 on."""
    if (value := _whole(text)) < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {text}")
    return value


def above_zero(text: str) -> float:
    """A number above 0."""
    if not 0 < _real(text) < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text}")
    return float(text)


def seconds(text: str) -> float:
    """A time above 0, in seconds: ``90s``, ``5m`` or ``1h``."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh])", text.strip())
    if found is None or not float(found[1]):
        raise argparse.ArgumentTypeError(f"expected a time above 0 such as 90s, 5m or 1h, got {text}")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]


def share(text: str) -> float:
    """A number from 0 to 1."""
    if not 0 <= (value := _real(text)) <= 1:
        meant = f". Did you mean {value / 100:g}?" if 1 < value <= 100 else ""
        raise argparse.ArgumentTypeError(f"expected a probability from 0 to 1, got {text}{meant}")
    return value


def percent(text: str) -> float:
    """A number from 1 to 100, or 0."""
    if not 0 <= (value := _real(text)) <= 100:
        raise argparse.ArgumentTypeError(f"expected a percentage from 0 to 100, got {text}")
    if 0 < value < 1:
        raise argparse.ArgumentTypeError(f"expected a percentage; {text} is less than one. Did you mean {100 * value:g}?")
    return value


def part_of(text: str) -> tuple[int, int]:
    """``3/8``: number 3 of 8, counted from 1 on."""
    found = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise argparse.ArgumentTypeError(f"expected I/N with I from 1 to N, such as 3/8, got {text}")
    return int(found[1]), int(found[2])


def port(text: str) -> int:
    """A number from 0 to 65535."""
    if not 0 <= (value := _whole(text)) <= 65535:
        raise argparse.ArgumentTypeError(f"expected 0 to 65535, got {text}")
    return value


def origin(text: str) -> str:
    """``https://example.org`` or ``http://localhost:3000``; or ``*``."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(text)
        right = parts.scheme in ("http", "https") and parts.hostname and text == f"{parts.scheme}://{parts.netloc}"
        _ = parts.port
    except ValueError:
        right = False
    if not right and text != "*":
        raise argparse.ArgumentTypeError(f"expected an origin such as https://example.org, without a path, got {text!r}")
    return text.lower()


def is_known(word: str) -> bool:
    """Whether a word reads ``LABEL=yes`` or ``LABEL=no``."""
    _, equals, value = word.rpartition("=")
    return bool(equals) and value.strip().lower() in BOOLEANS


def after_known(arguments: Sequence[str]) -> list[str]:
    """The arguments with ``--known`` and its values moved behind all others (before a ``--``).

    ``--known`` takes several values, so argparse would take a picture after the last of them for one more: a word that is an
    existing file, or has a file extension, stays before ``--known``.
    """
    end = next((at for at, word in enumerate(arguments) if word == "--"), len(arguments))
    others: list[str] = []
    known: list[str] = []
    inside = False
    for word in arguments[:end]:
        if word == "--known":
            inside = True
            known.append(word)
        elif inside and is_known(word):
            known.append(word)
        elif inside and not word.startswith("-") and not _is_file(word):
            known.append(word)  # refused by name later
        else:
            inside = inside and not word.startswith("-")
            others.append(word)
    return [*others, *known, *arguments[end:]]


def _is_file(word: str) -> bool:
    return Path(word).exists() or re.search(r"^[^=]*\.\w+$", word) is not None


def output_stem(path: Path, *endings: str, option: str = "--output") -> Path:
    """``path`` without the ending of one of the files that are written, checked: its folder exists and can be written into.

    Args:
        endings: of these files, as ``png``.

    Raises:
        UserError: it does not, or cannot; the message names the option.
    """
    _writable(path, path.parent, option)
    return path.with_suffix("") if path.suffix[1:].lower() in endings else path


def output_folder(path: Path, option: str = "--output") -> Path:
    """``path``, checked: it is a folder that can be written into, or can be made.

    Raises:
        UserError: it is a file, or cannot be made or written into; the message names the option.
    """
    if path.exists() and not path.is_dir():
        raise UserError(f"{option} {path}: is a file; name a folder")
    nearest = next(p for p in (path, *path.absolute().parents) if p.exists())
    _writable(path, nearest, option)
    return path


def _writable(path: Path, folder: Path, option: str) -> None:
    if not folder.exists():
        raise UserError(f"{option} {path}: there is no folder {folder}; make it first")
    if not folder.is_dir():
        raise UserError(f"{option} {path}: {folder} is a file, not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{option} {path}: {folder} cannot be written into (permission denied)")
