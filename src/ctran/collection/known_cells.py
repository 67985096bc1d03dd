"""Known labels of a row of a table: lists of names, a mapping, or a column a label, in the notations of annotation files."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ctran.data.readers.cells import names_of, state_of
from ctran.data.readers.tabular import near_column
from ctran.errors import UserError
from ctran.inference.many import checked
from ctran.labels import LabelSpace
from ctran.textfile import parse_json


@dataclass(frozen=True)
class Columns:
    """Which columns of a table are read; the same names are keys of the JSON of a WebDataset sample.

    Args:
        picture: path, URL or content of the picture; None takes ``file_name``, or else ``image``.
        id: names the picture in the output; without it its path does.
        labels: lists of labels that are known to be present.
        negatives: lists of labels that are known to be absent.
        known: label -> true or false, as a mapping or as JSON.
        delimiter: between the labels of a text.
        ignore: columns that are not read. A column whose name is a label has 1, 0 or blank otherwise.
    """

    picture: str | None = None
    id: str = "id"
    labels: str = "labels"
    negatives: str = "negatives"
    known: str = "known"
    delimiter: str = ","
    ignore: tuple[str, ...] = ()


class KnownCells:
    """Reads the known labels of rows.

    Args:
        space: the model's labels.
        columns: which columns have them.
        default: known labels of all pictures, where a row does not state another.
    """

    def __init__(self, space: LabelSpace, columns: Columns, default: Mapping[str, bool]) -> None:
        self.space, self.columns, self.default = space, columns, dict(default)
        self._stated = set[str]()

    def once(self, state: Callable[[], None], what: str) -> None:
        """Call ``state`` the first time that it is about ``what``."""
        if what not in self._stated:
            self._stated.add(what)
            state()

    def taken(self, names: Iterable[str]) -> list[str]:
        """Those of a table's columns that known labels are read from."""
        found = []
        for name in names:
            listed = name in (self.columns.labels, self.columns.negatives, self.columns.known)
            if name not in self.columns.ignore and (listed or self._is_wide(name)):
                found.append(name)
        return found

    def doubts(self, names: Iterable[str]) -> list[str]:
        """Columns that are not read although their names are nearly those of columns that would be."""
        others = dict.fromkeys(name for name in names if name not in self.columns.ignore)
        wanted = [n for n in (self.columns.labels, self.columns.negatives, self.columns.known) if n not in others]
        hints = {name: near_column(name, others) for name in wanted}
        return [f"there is no column {name!r}{hint} It is not read" for name, hint in hints.items() if hint]

    def read(self, cells: Mapping[str, Any], where: str) -> dict[str, bool]:
        """Known labels of one row.

        Raises:
            UserError: a cell that cannot be read, a name that is no label (the nearest is named), or labels that contradict
                each other; it names file and row.
        """
        found: dict[str, bool] = {}
        for column in self.taken(cells):
            for name, present in self._of(column, cells[column], where).items():
                if found.setdefault(name, present) != present:
                    raise UserError(f"{where}: label {name!r} is given both as present and as absent")
        try:
            return checked({**self.default, **found}, self.space)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None

    def _of(self, column: str, cell: Any, where: str) -> dict[str, bool]:
        if column in (self.columns.labels, self.columns.negatives):
            names = names_of(_plain(cell), self.columns.delimiter, where)
            return dict.fromkeys(names, column == self.columns.labels)
        if column == self.columns.known:
            return self._mapping(_plain(cell), f"{where}, column {column!r}")
        state = self._state(cell, f"{where}, column {column!r}")
        return {} if state is None else {column: state}

    def _mapping(self, cell: Any, where: str) -> dict[str, bool]:
        if isinstance(cell, str):
            cell = parse_json(cell, where, distinct=True) if cell.strip() else {}
        if isinstance(cell, list) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in cell):
            cell = dict(cell)  # a Parquet map
        if cell is None:
            return {}
        if not isinstance(cell, dict):
            raise UserError(f'{where}: expected known labels as {{"label": true}}, got {str(cell)[:80]!r}')
        states = {name: self._state(value, f"{where}, label {name!r}") for name, value in cell.items()}
        return {name: state for name, state in states.items() if state is not None}

    def _state(self, cell: Any, where: str) -> bool | None:
        """Whether a label is present; None where that is not stated, or uncertain."""
        try:
            state = state_of("" if cell is None else str(cell))
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        return None if state in (None, -1) else state == 1

    def _is_wide(self, name: str) -> bool:
        special = (self.columns.picture or "file_name", self.columns.id)
        return name in self.space.index_of and name not in special


def _plain(cell: Any) -> Any:
    """NaN, as data frames write a missing cell, as None; blank text as an empty list of labels."""
    return None if isinstance(cell, float) and math.isnan(cell) else cell
