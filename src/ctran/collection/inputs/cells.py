"""From the cells of one row of any table to a picture with its known labels."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from ctran.collection.known_cells import KnownCells
from ctran.collection.rows import Row
from ctran.collection.storage import join
from ctran.data.notices import notice, warn
from ctran.data.readers.tabular import column_of
from ctran.errors import UserError

PICTURE = ("file_name", "image")
"""Columns of the picture, where none is named."""


def picture_column(names: Iterable[str], place: str, cells: KnownCells) -> str:
    """The column that has the picture.

    Raises:
        UserError: there is none; the nearest is named.
    """
    names = list(names)
    if cells.columns.picture is None:
        for name in PICTURE:
            if name in names:
                return name
    return column_of(cells.columns.picture or PICTURE[0], dict.fromkeys(names), place, "--picture-column")


def check_columns(names: Iterable[str], place: str, cells: KnownCells) -> None:
    """Refuse a table without pictures, and state once which of its columns have known labels.

    Raises:
        UserError: there is no column of pictures.
    """
    names = list(names)
    picture = picture_column(names, place, cells)
    taken = cells.taken(name for name in names if name != picture)
    for doubt in cells.doubts(names):
        cells.once(lambda doubt=doubt: warn(f"{place}: {doubt}"), doubt)
    listed = ", ".join(taken[:8]) + (f" and {len(taken) - 8} more" if len(taken) > 8 else "")
    told = f"known labels of each row: {f'columns {listed}' if taken else 'none (no column has them)'}"
    cells.once(lambda: notice(f"{place}: {told}"), told)


def needed(names: Iterable[str], cells: KnownCells) -> list[str]:
    """Columns that are read."""
    wanted = {*PICTURE, cells.columns.picture, cells.columns.id}
    names = list(names)
    taken = set(cells.taken(names))
    return [name for name in names if name in wanted or name in taken]


def row_of(values: Mapping[str, Any], where: str, folder: str, cells: KnownCells, otherwise: str = "") -> Row:
    """One row; what is wrong with it is in its ``error``.

    Args:
        values: column -> cell.
        where: file and row.
        folder: of the table, to which paths of pictures are relative.
        otherwise: its id, where it has neither an id nor a path.
    """
    number, path = values.get(cells.columns.id), ""
    own = "" if number is None or (isinstance(number, float) and math.isnan(number)) else str(number)
    try:
        column = picture_column(values, where, cells)
        content, path = _picture(values[column], f"{where}, column {column!r}")
        source = content if content is not None else join(folder, path)
        known = cells.read({name: value for name, value in values.items() if name != column}, where)
    except UserError as error:
        return Row(own or path or otherwise or where, where, error=str(error))
    return Row(own or path or otherwise or where, where if content is not None else f"{where} ({source})", source, known)


def _picture(cell: Any, where: str) -> tuple[bytes | None, str]:
    """Content, or None, and path of a picture, as Hugging Face's ``datasets`` stores both.

    Raises:
        UserError: neither is there.
    """
    content, path = (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (None, cell)
    if isinstance(path, bytes):
        content, path = path, ""
    if isinstance(content, bytes):
        return content, path or ""
    if path is None or not isinstance(path, str) or not path.strip():
        got = "an empty cell" if path is None or path == "" else repr(path)[:80]
        raise UserError(f"{where}: expected the path, URL or content of a picture, got {got}")
    return None, path.strip()
