"""A folder that a conversion writes: the pictures beside the annotation, and what a format cannot say."""

import csv
import io
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Literal

from PIL import Image

from ctran.data.notices import few, warn
from ctran.data.rows import Absent, Annotated, Row
from ctran.data.splits import SPLIT_NAMES
from ctran.data.table import DataError

_RESERVED = frozenset('<>:"|?*\\\t')
"""Characters that some file systems refuse in a name."""
POSITIVES_ONLY = "--positives-only writes the present labels alone, to be read with --absent unknown"


class Output:
    """An empty folder for one annotation in one format.

    Args:
        folder: to write into.
        link: pictures are hard links to the originals where the file system can, else copies.
    """

    def __init__(self, folder: Path, *, link: bool = False) -> None:
        self.folder, self.link = folder, link
        self._taken: set[str] = set()

    def picture(self, row: Row, under: str = "images", *, numbered: bool = False) -> str:
        """Place the picture of a row into the folder; its path there, with ``/``.

        Args:
            row: its id is the name of the file as far as it can be one.
            under: a folder within, ``""`` for none.
            numbered: give it a number for a name, where a format has no way to write odd names.
        """
        parts = [part for part in PurePosixPath(row.id).parts if part not in ("/", "..", ".")]
        while len(parts) > 1 and parts[0] == "images":  # of an earlier conversion
            parts.pop(0)
        suffix = row.path.suffix.lower() or ".jpg"
        if numbered or not parts or not _is_plain("".join(parts)) or len(row.id.encode()) > 150:
            parts = [f"{len(self._taken) + 1:06}{suffix}"]
        else:
            parts[-1] = parts[-1][: -len(suffix)] + suffix if parts[-1].lower().endswith(suffix) else parts[-1] + suffix
        stem = "/".join([*([under] if under else []), *parts]).removesuffix(suffix)
        base, number = stem, 1
        while stem.casefold() in self._taken:  # no two differ by their ending alone: some formats leave it out
            number += 1
            stem = f"{base}-{number}"
        self._taken.add(stem.casefold())
        name = stem + suffix
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        self._place(row.path.resolve(), target)
        return name

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file of the annotation; ``name`` is its path in the folder, text is UTF-8 with its line ends as they are."""
        part = self.folder / name
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content if isinstance(content, bytes) else content.encode())

    def write_json(self, name: str, content: object) -> None:
        """As :meth:`write`, a value as JSON."""
        self.write(name, json.dumps(content, ensure_ascii=False, default=str) + "\n")

    def write_csv(self, name: str, rows: Iterable[Iterable[object]]) -> None:
        """As :meth:`write`, rows as CSV."""
        text = io.StringIO(newline="")
        csv.writer(text).writerows(rows)
        self.write(name, text.getvalue())

    def _place(self, source: Path, target: Path) -> None:
        if self.link:
            try:
                os.link(source, target)
            except OSError:  # another file system, or one without links
                pass
            else:
                return
        shutil.copyfile(source, target)


def size_of(row: Row) -> tuple[int, int]:
    """Width and height of a picture, from its header.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with Image.open(row.path) as picture:
            return picture.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{row.where}: {row.path}: the picture's size cannot be read ({error})") from None


def by_split(annotated: Annotated) -> dict[str | None, list[Row]]:
    """Rows of each split, train first; all under None where there are no splits."""
    found: dict[str | None, list[Row]] = {}
    for row in annotated.rows:
        found.setdefault(split_of(row), []).append(row)
    return {split: found[split] for split in ("train", "val", "test", None) if split in found}


def _is_plain(name: str) -> bool:
    """Whether a name can be a file's everywhere."""
    return name.isprintable() and not _RESERVED.intersection(name) and not name.startswith(".")


def split_of(row: Row) -> Literal["train", "val", "test"] | None:
    """The split of a row in this package's word for it; None where it has none."""
    if not row.split:
        return None
    name = SPLIT_NAMES.get(row.split.strip().lower())
    if name is None:
        raise DataError(f"{row.where}: split must be one of {', '.join(SPLIT_NAMES)}, got {row.split!r}")
    return name  # pyright: ignore[reportReturnType]


def rest_of(annotated: Annotated, form: str) -> Absent:
    """What is true of all labels that no row lists as present, for a format that lists these alone.

    Raises:
        DataError: of some it is known that they are absent, others are unknown.
    """
    total = len(annotated.rows) * len(annotated.labels)
    known = positive = 0
    for row, states in annotated.known():
        known, positive = known + len(states), positive + len(set(row.positives))
    if known == total:
        return "negative"
    if known == positive:
        return annotated.rest
    raise DataError(
        f"{form} lists the labels that are present, and here {known - positive:,} entries are known to be absent and "
        f"{total - known:,} are unknown, which it cannot tell apart. Use csv, imagefolder or another format that can "
        f"(ctran data), or {POSITIVES_ONLY}"
    )


def lists_of(annotated: Annotated, form: str) -> tuple[Absent, list[tuple[Row, dict[str, list[str]]]]]:
    """``labels`` and ``negatives`` of each row, for formats that have both; and what labels are that are in neither.

    Where every state is known, absent labels are not listed, but for those that no picture has, so that they are named.
    """
    labels, rows = annotated.labels, list(annotated.known())
    complete = all(len(known) == len(labels) for _, known in rows)
    listed = set(labels) - annotated.present if complete else set(labels)
    warn_of_lost(annotated, form, {name for _, known in rows for name in known})
    found = []
    for row, known in rows:
        cells = {"labels": sorted(row.positives)}
        if listed:
            cells["negatives"] = sorted(name for name, present in known.items() if not present and name in listed)
        found.append((row, cells))
    return "negative" if complete else annotated.rest, found


def refuse_unknown(annotated: Annotated, form: str) -> None:
    """For a format that has 1 and 0 alone.

    Raises:
        DataError: an entry is unknown.
    """
    labels = annotated.labels
    for row, states in annotated.known():
        if len(states) < len(labels):
            name = next(name for name in labels if name not in states)
            raise DataError(
                f"{row.where}: {name!r} is unknown, and {form} can only say present or absent. Use csv, imagefolder or another "
                "format that can (ctran data)"
            )


def refuse_names(names: Iterable[str], characters: str, form: str) -> None:
    """For a format whose text cannot hold some characters in a label.

    Raises:
        DataError: a name has one; it is shown.
    """
    for name in names:
        if found := [c for c in characters if c in name]:
            raise DataError(
                f"label {name!r} has {found[0]!r} in it, which {form} cannot write; rename it, or use another format"
            )


def refuse_controls(names: Iterable[str], form: str) -> None:
    """For a format whose text cannot hold control characters in a label, such as XML."""
    for name in names:
        if bad := [c for c in name if ord(c) < 32 or ord(c) == 127 or c in "\ufffe\uffff\x85\u2028\u2029"]:
            raise DataError(f"label {name!r}: {form} cannot write {bad[0]!a}; rename it, or use another format")


def warn_of_lost(annotated: Annotated, form: str, kept: Iterable[str] | None = None) -> None:
    """Warn of labels that are not in the file, as it names those of pictures alone.

    Args:
        kept: labels that are; None: those that a picture has.
    """
    if lost := sorted(set(annotated.labels).difference(annotated.present if kept is None else kept)):
        warn(f"{form} has no list of all labels, and no picture names these, which are not in it: {few(lost)}")
