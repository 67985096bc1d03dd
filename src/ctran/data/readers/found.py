"""Files whose name in an annotation differs slightly from that on disk."""

import os
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from ctran.data.readers.cells import plain


def exists(path: Path) -> bool:
    """Whether the path exists; False for a name that is too long."""
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long
        return False


@dataclass(frozen=True)
class Names:
    """Names in a folder, and which of them are alike."""

    names: tuple[str, ...]

    @cached_property
    def forms(self) -> dict[str, list[str]]:
        """By Unicode form."""
        return _grouped(self.names, lambda name: unicodedata.normalize("NFC", name))

    @cached_property
    def similar(self) -> dict[str, list[str]]:
        """By name without case and extra blanks."""
        return _grouped(self.names, plain)

    @cached_property
    def stems(self) -> dict[str, list[str]]:
        """By name without ending."""
        return _grouped(self.names, lambda name: name.rpartition(".")[0])


def _grouped(names: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(key(name), []).append(name)
    return found


@cache
def listing(folder: Path) -> Names:
    """Names in a folder, read once until ``listing.cache_clear()``; none where it cannot be read."""
    try:
        return Names(tuple(sorted(os.listdir(folder))))  # noqa: PTH208
    except OSError:
        return Names(())


def other_form(path: Path) -> Path | None:
    """The one file whose path is the same up to Unicode form; None if there is none."""
    if path == path.parent:
        return None
    parent = path.parent if exists(path.parent) else other_form(path.parent)
    if parent is None:
        return None
    similar = listing(parent).forms.get(unicodedata.normalize("NFC", path.name), [])
    return parent / similar[0] if len(similar) == 1 else None


def hint(path: Path) -> str:
    """``" (there is 'A.PNG')"``: a file that a missing one may mean: by case, blanks, ending, or / for a backslash."""
    folder = listing(path.parent)
    similar = folder.similar.get(plain(path.name)) or folder.stems.get(path.name)
    if not similar and "\\" in path.name and exists(path.parent / path.name.replace("\\", "/")):
        similar = [path.name.replace("\\", "/")]
    return f" (there is {similar[0]!r})" if similar else ""
