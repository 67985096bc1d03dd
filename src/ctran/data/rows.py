"""A user's annotation as every format reads it: one row a picture, with what is known of its labels."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar, Literal

from ctran.data.reading import Reading

Absent = Literal["negative", "unlisted", "unknown"]
"""What it means that a row does not list a label.

``negative``: it is absent. ``unlisted``: nobody checked, and it is probably absent, so that losses may assume it and metrics
count it so; among known labels it is unknown. ``unknown``: nothing is assumed.
"""


class Says(Enum):
    """What a format can say of a label of a picture; ``SAYS`` of each format, and a column of the table in the docs."""

    ALL = "present, absent and unknown"
    LISTED = "present; of all others together, absent, probably absent or unknown (`--absent`)"
    DECIDED = "present and absent, never unknown"


@dataclass(frozen=True, kw_only=True)
class OwnFiles(Reading):
    """Options of every format of users' own files.

    Args:
        splits: CSV file with columns ``id`` and ``split``, one row a picture; it replaces the splits of the file.
    """

    CHECKED: ClassVar[bool] = True

    splits: Path | None = None


@dataclass(frozen=True)
class Row:
    """One annotated picture, as read: ``where`` (file and row) is what errors call it.

    Labels in ``unknown`` are unknown, whatever unlisted labels are. ``extra`` are further columns, kept in a conversion.
    """

    where: str
    path: Path
    id: str
    positives: tuple[str, ...]
    negatives: tuple[str, ...] = ()
    split: str | None = None
    unknown: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Annotated:
    """All rows of a user's annotation.

    Args:
        rows: of all pictures.
        absent: what it means that a row does not list a label.
        names: labels that the file declares, whether or not a row lists them.
        folder: whose pictures should all be named by rows; None searches only the named ones' folders.
    """

    rows: Sequence[Row]
    absent: Absent
    names: tuple[str, ...] = ()
    folder: Path | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """All names, declared or listed, sorted."""
        return tuple(sorted({*self.names, *(n for row in self.rows for n in (*row.positives, *row.negatives, *row.unknown))}))

    @property
    def present(self) -> frozenset[str]:
        """Labels that are present in a picture."""
        return frozenset(name for row in self.rows for name in row.positives)

    def known(self) -> Iterator[tuple[Row, dict[str, bool]]]:
        """Each row with the labels whose state is known: label -> present. A label that is not in it is unknown."""
        labels = self.labels
        for row in self.rows:
            found = dict.fromkeys(row.negatives, False)
            if self.absent == "negative":
                found = dict.fromkeys(set(labels).difference(row.unknown), False)
            yield row, found | dict.fromkeys(row.positives, True)

    def without_negatives(self) -> "Annotated":
        """What is present alone; all else is unknown, or unlisted as before."""
        return Annotated([replace(row, negatives=(), unknown=()) for row in self.rows], self.rest, self.labels, self.folder)

    @property
    def rest(self) -> Absent:
        """What it means that a label whose state is not known is not listed: unlisted or unknown."""
        return "unlisted" if self.absent == "unlisted" else "unknown"
