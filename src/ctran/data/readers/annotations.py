"""From a user's own annotation to checked sample tables."""

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from ctran.data.checked import Checked, check
from ctran.data.file_table import make_table
from ctran.data.notices import few, notice, warn
from ctran.data.readers.cells import near_names
from ctran.data.readers.found import exists, hint, listing, other_form
from ctran.data.readers.tabular import column_of, read_csv
from ctran.data.reading import Reading
from ctran.data.rows import Annotated, Row
from ctran.data.splits import SPLIT_NAMES, by_content, warn_of_same
from ctran.data.table import HINT, Broken, DataError, SampleTable
from ctran.images.formats import endings
from ctran.images.left_out import left_out
from ctran.images.reading import picture_files
from ctran.labels import LabelSpace, LabelState

_ABSENT = {"negative": LabelState.NEGATIVE, "unlisted": LabelState.UNKNOWN, "unknown": LabelState.UNKNOWN}
_PAIRS = 3
"""Pairs of nearly equal names that are warned of."""


def to_tables(annotated: Annotated, reading: Reading) -> dict[str, SampleTable]:
    """Checked tables over one label space (all names, sorted). Doubtful input causes warnings on stderr.

    Without splits in the rows they are 70 / 10 / 20 % by the content of the pictures (:func:`ctran.data.splits.by_content`).

    Args:
        annotated: rows of all pictures, and the state of a label that a row does not list.
        reading: with ``skip_broken`` pictures that cannot be read are left out, and the tables list them.

    Raises:
        DataError: as :func:`checked`; a picture that is broken or missing (unless ``skip_broken``), or no label at all.
    """
    annotated = checked(annotated, getattr(reading, "splits", None))
    rows, names = annotated.rows, annotated.labels
    if not any(row.positives or row.negatives for row in rows):
        where = rows[0].where if rows else "the annotation"
        raise DataError(f"no label in any row (first: {where}); is the label column empty?")
    _warn_of_names(rows, names)
    checks = check([row.path for row in rows], truncated=reading.truncated, white=reading.white)
    broken = {i: one.reason for i, one in enumerate(checks) if one.reason}
    if broken and not reading.skip_broken:
        first = min(broken)
        more = f" ({len(broken)} such pictures in all)" if len(broken) > 1 else ""
        raise DataError(f"{rows[first].where}: {broken[first]}{more}. {HINT}")
    digests = _contents(rows, checks)
    splits = assign_splits(rows, digests, broken)
    usable = [i for i in range(len(rows)) if i not in broken]
    warn_of_same(
        [rows[i].id for i in usable],
        [digests[i] for i in usable],
        [(sorted(rows[i].positives), sorted(rows[i].negatives)) for i in usable],
        [splits[i] for i in usable],
    )
    _warn_of_unnamed(rows, annotated.folder)
    return _tables(rows, splits, broken, LabelSpace(names), annotated.absent)


def checked(annotated: Annotated, splits: Path | None = None) -> Annotated:
    """The rows with paths in the Unicode form on disk; ``where`` of a missing file names a similar one, if any.

    Args:
        annotated: as a format read it.
        splits: CSV file with columns ``id`` and ``split``, which replaces the splits of the rows.

    Raises:
        DataError: a picture that is listed twice, a label both positive and negative, or a name that no file system or no
            text can hold.
    """
    listing.cache_clear()
    for row in annotated.rows:
        _check_text(row)
    for name in annotated.labels:
        _check_label(name)
    rows = _found(annotated.rows)
    _check_rows(rows)
    if splits is not None:
        rows = _with_splits(rows, splits)
    return replace(annotated, rows=rows)


def _with_splits(rows: Sequence[Row], path: Path) -> list[Row]:
    """The rows with the splits of a file."""
    found: dict[str, str] = {}
    for number, cells in enumerate(read_csv(path), start=1):
        for column in ("id", "split"):
            column_of(column, cells, path, "'id' and 'split' in the header")
        if cells["id"] in found:
            raise DataError(f"{path}, row {number}: id {cells['id']!r} is there twice")
        found[cells["id"]] = cells["split"]
    if missing := [row.id for row in rows if row.id not in found]:
        raise DataError(f"{path}: no split for {few(missing)}; give every picture a row with its id and train, val or test")
    return [replace(row, split=found[row.id]) for row in rows]


def _tables(
    rows: Sequence[Row], splits: Sequence[str], broken: dict[int, str], labels: LabelSpace, absent: str
) -> dict[str, SampleTable]:
    """The tables; where single labels are unknown although an unlisted one is negative, all negatives are listed."""
    meaning = _ABSENT[absent]
    if meaning == LabelState.NEGATIVE and any(row.unknown for row in rows):
        meaning = LabelState.UNKNOWN
        rows = [replace(row, negatives=tuple(set(labels.names).difference(row.positives, row.unknown))) for row in rows]
    tables = {}
    for split in ("train", "val", "test"):
        chosen = [i for i, s in enumerate(splits) if s == split and i not in broken]
        if not chosen:
            raise DataError(
                f"no usable picture in split {split!r}; training needs train, val and test: give some pictures split {split}, "
                "or leave the column of splits out, and 70, 10 and 20 % of the pictures become them"
            )
        table = make_table(
            [rows[i].path for i in chosen],
            [rows[i].id for i in chosen],
            [[labels.index(n) for n in rows[i].positives] for i in chosen],
            labels,
            negatives=[sorted(labels.index(n) for n in rows[i].negatives) for i in chosen],
            absent=meaning,
        )
        skipped = tuple(Broken(rows[i].where, why) for i, why in broken.items() if splits[i] == split)
        tables[split] = replace(table, broken=skipped, unlisted=absent == "unlisted")
    return tables


def assign_splits(rows: Sequence[Row], digests: Sequence[str], broken: dict[int, str]) -> list[str]:
    """The split that each row names; where none does, by the content of the pictures."""
    if any(row.split for row in rows):
        for row in rows:
            if row.split is None or row.split.strip().lower() not in SPLIT_NAMES:
                raise DataError(f"{row.where}: split must be one of {', '.join(SPLIT_NAMES)}, got {row.split!r}")
        return [SPLIT_NAMES[row.split.strip().lower()] for row in rows if row.split]
    usable = [i for i in range(len(rows)) if i not in broken]
    found = dict(zip(usable, by_content([digests[i] for i in usable]), strict=True))
    return [found.get(i, "train") for i in range(len(rows))]


def _contents(rows: Sequence[Row], checks: Sequence[Checked]) -> list[str]:
    """Digest of each picture; a file that cannot be read has one by its name."""
    return [one.digest or f"unread {row.id}" for row, one in zip(rows, checks, strict=True)]


# ------------------------------------------------------------------- refusals


def _check_text(row: Row) -> None:
    """Refuse names that no file system, or no table, can hold."""
    for what, text in (("file name", str(row.path)), ("id", row.id)):
        if "\0" in text:
            raise DataError(f"{row.where}: {what} {text!r} holds a NUL character; correct it")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise DataError(f"{row.where}: {what} {text!a} is not text in UTF-8; rename it") from None


def _check_label(name: str) -> None:
    """Refuse label names that no file can hold."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise DataError(f"label {name!a} is not text in UTF-8; rename it") from None
    if not name.strip() or "\0" in name:
        raise DataError(f"label names must be text without NUL characters, got {name!r}")


def _check_rows(rows: Sequence[Row]) -> None:
    """Refuse pictures that are listed twice and labels that contradict each other."""
    seen: dict[object, Row] = {}
    for row in rows:
        for key in (row.id, row.path.resolve()):
            if key in seen:
                raise DataError(f"{row.where}: {row.id!r} is listed twice, first in {seen[key].where}")
            seen[key] = row
        if both := set(row.positives) & set(row.negatives):
            raise DataError(f"{row.where}: {sorted(both)[0]!r} is both positive and negative")


# ------------------------------------------------------- files by another name


def _found(rows: Sequence[Row]) -> list[Row]:
    """The rows, with paths in the Unicode form on disk; ``where`` of a missing file names a similar one, if any."""
    found, renamed = [], 0
    for row in rows:
        if exists(row.path):
            found.append(row)
        elif (path := other_form(row.path)) is not None:
            found.append(replace(row, path=path))
            renamed += 1
        else:
            found.append(replace(row, where=f"{row.where}{hint(row.path)}"))
    if renamed:
        notice(f"{renamed:,} file names are written in another Unicode form (NFC / NFD) than on disk; the files are found")
    return found


# -------------------------------------------------------------------- warnings


def _warn_of_names(rows: Sequence[Row], names: Sequence[str]) -> None:
    """Warn of labels and of files that differ only by case, blanks or Unicode form."""
    pairs = near_names(names)
    counts = Counter(name for row in rows for name in (*row.positives, *row.negatives)) if pairs else Counter[str]()
    for a, b in pairs[:_PAIRS]:
        warn(
            f"labels {_both_names(a, b)} ({counts[a]:,} and {counts[b]:,} rows) differ only by case, blanks or Unicode form; "
            "probably they are one: write them alike"
        )
    if len(pairs) > _PAIRS:
        warn(f"{len(pairs) - _PAIRS:,} more pairs of labels differ so")
    numbers = {"0", "1", "true", "false"}
    if {name.casefold() for name in names} <= numbers:
        warn(f"the labels are called {few(list(names))}; of a table with a column a label: --source csv")
    if files := near_names(row.id for row in rows):
        a, b = files[0]
        warn(f"{len(files):,} file names differ from another only by case, blanks or Unicode form (first: {_both_names(a, b)})")


def _both_names(a: str, b: str) -> str:
    """Both names quoted; with ASCII escapes where they look the same."""
    same = unicodedata.normalize("NFC", a) == unicodedata.normalize("NFC", b) or a.split() == b.split()
    return f"{a!a} and {b!a}" if same else f"{a!r} and {b!r}"


def _warn_of_unnamed(rows: Sequence[Row], folder: Path | None) -> None:
    """Count pictures that no row names, and files that may be meant as pictures and cannot be read."""
    named = {os.path.normpath(row.path) for row in rows}
    if folder is not None:
        files: Iterable[Path] = picture_files(folder)
    else:
        readable = endings()
        inside = (p / name for p in {row.path.parent for row in rows} for name in listing(p).names)
        files = [path for path in inside if path.suffix.lower() in readable and not path.name.startswith(".")]
    taken = [*files, *(row.path for row in rows)]
    for place in [folder] if folder else sorted({row.path.parent for row in rows}):
        for line in left_out(place, taken, deep=folder is not None).lines():
            warn(f"{place}: {line}")
    unnamed = sorted(str(path) for path in files if os.path.normpath(path) not in named)
    if unnamed:
        warn(f"{len(unnamed):,} pictures are named by no row and not used (first: {unnamed[0]})")
