"""Options of formats that list what is present in a picture, and where their pictures are."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ctran.data.readers.found import exists
from ctran.data.readers.typed_json import decode_json
from ctran.data.rows import Absent, OwnFiles
from ctran.data.splits import SPLIT_NAMES
from ctran.data.table import DataError

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ListedConfig(OwnFiles):
    """Options of a format that lists what is present.

    Args:
        root: the file, or the folder.
        absent: what it means that a label is not listed. ``negative``: it is not in the picture. ``unlisted``: nobody
            checked, and it probably is not. ``unknown``: it is not annotated.
    """

    root: Path
    absent: Absent


def find_file(root: Path, pattern: str, what: str) -> Path:
    """``root`` itself where it is a file, or the only file in it that fits.

    Raises:
        DataError: none, or several.
    """
    if root.is_file():
        return root
    if not root.is_dir():
        raise DataError(f"{root}: not found; give {what} as --data.root")
    found = sorted(path for path in root.glob(pattern) if path.is_file())
    if len(found) != 1:
        names = ", ".join(path.name for path in found[:5]) or "none"
        raise DataError(f"{root}: expected one {pattern} in it, found {names}; give {what} as --data.root")
    return found[0]


def label_of(value: object, where: str) -> str:
    """A label's name without blanks around it.

    Raises:
        DataError: not text, or empty.
    """
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{where}: expected the name of a label, got {value!r}")
    return value.strip()


def labels_of(values: Iterable[object], where: str) -> tuple[str, ...]:
    """Names, each once, in their order."""
    return tuple(dict.fromkeys(label_of(value, where) for value in values))


def read_json(path: Path, kind: type[T], what: str) -> T:
    """A JSON file as typed records; fields that ``kind`` does not have are skipped.

    Args:
        path: the file.
        kind: of its content.
        what: it is expected to be, for errors.

    Raises:
        DataError: not JSON, or not such records; with file and place.
    """
    expected = f"Expected {what}"
    return decode_json(path.read_bytes().removeprefix(b"\xef\xbb\xbf"), kind, path, expected, expected)


def picture_in(folders: Iterable[Path], name: str) -> Path:
    """The file of a name in the first folder that has it; where none has, its path in the first."""
    paths = [folder / name for folder in folders]
    return next((path for path in paths if exists(path)), paths[0])


def split_in(path: Path, root: Path) -> str | None:
    """The split that the name of a file, or its folder below ``root``, states."""
    if path.parent.name in SPLIT_NAMES and path.parent != root:
        return path.parent.name
    words = [word for word in re.split(r"[^a-z]+", path.stem.lower()) if word in SPLIT_NAMES]
    return words[0] if len(words) == 1 else None
