"""Text and JSON files of users, opened in one way: every error names the file, the row and what to do."""

import codecs
import io
import json
import zipfile
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, cast

from ctran.errors import UserError

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it starts with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""Byte order marks: the only unambiguous sign of an encoding."""
SHOWN = 60
"""Characters of a wrong row that messages show."""


def read_text(path: Path | zipfile.Path, error: type[UserError] = UserError) -> str:
    """A whole text file: UTF-8, or the encoding that its byte order mark names.

    Args:
        path: the file.
        error: class of the errors.

    Raises:
        error: another encoding, or a NUL character; it names the file and the line, and how to convert it.
        OSError: the file is missing or not readable.
    """
    content = path.read_bytes()
    mark, encoding = next(((m, e) for m, e in MARKS if content.startswith(m)), (b"", "utf-8"))
    try:
        text = content[len(mark) :].decode(encoding)
    except UnicodeDecodeError as wrong:
        if mark:
            raise error(f"{path}: starts like {encoding.upper()}, but is damaged ({wrong.reason})") from None
        if content.count(0) * 4 >= len(content):
            raise error(f"{path}: {_utf16(path)}") from None
        line = content[: wrong.start].count(b"\n") + 1
        raise error(
            f"{path}, line {line}: not UTF-8 (byte 0x{content[wrong.start]:02X}). Probably Latin-1 (Windows-1252); convert it: "
            f"iconv -f WINDOWS-1252 -t UTF-8 {path.name} > utf8{path.suffix}"
        ) from None
    if "\0" in text:
        if text.count("\0") * 4 >= len(text):
            raise error(f"{path}: {_utf16(path)}")
        raise error(f"{path}, line {text[: text.index(chr(0))].count(chr(10)) + 1}: holds a NUL character; remove it")
    return text


def _utf16(path: Path | zipfile.Path) -> str:
    convert = f"iconv -f UTF-16LE -t UTF-8 {path.name} > utf8{path.suffix}"
    return f"not UTF-8, but UTF-16 without a byte order mark; convert it: {convert}"


def parse_json(text: str, where: str, error: type[UserError] = UserError, *, distinct: bool = False) -> Any:
    """One JSON value.

    Args:
        text: of the value.
        where: file and row, as errors name them.
        error: class of the errors.
        distinct: refuse an object with a duplicate key, of which JSON keeps the last.

    Raises:
        error: not JSON, nested too deeply, or a key twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_distinct if distinct else None)
    except RecursionError:
        raise error(f"{where}: JSON that is nested too deeply to be read") from None
    except ValueError as wrong:
        raise error(f"{where}: no JSON ({wrong})") from None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise UserError(f"the key {next(k for k in keys if keys.count(k) > 1)!r} is there twice")
    return found


def read_json(path: Path, error: type[UserError] = UserError) -> Any:
    """The value of a JSON file; errors as :func:`read_text` and :func:`parse_json`, naming the file."""
    return parse_json(read_text(path, error), str(path), error)


def read_json_lines(path: Path, error: type[UserError] = UserError) -> Iterator[tuple[str, dict[str, Any]]]:
    """``(where, object)`` of each line of a JSON-lines file that is not empty; rows are counted from 1.

    Lines end with a line feed alone, as JSON may hold the other line separators of Unicode.

    Raises:
        error: as :func:`read_text` and :func:`parse_json`, or a line that holds no object; it names file and row.
    """
    yield from json_rows(read_text(path, error).split("\n"), str(path), error)


def json_rows(lines: Iterable[str], name: str, error: type[UserError] = UserError) -> Iterator[tuple[str, dict[str, Any]]]:
    """:func:`read_json_lines` of lines of the file ``name``, one at a time."""
    for number, line in enumerate((line for line in lines if line.strip()), start=1):
        where = f"{name}, row {number}"
        row = parse_json(line, where, error, distinct=True)
        if not isinstance(row, dict):
            raise error(f"{where}: expected keys and values in braces, got {line.strip()[:SHOWN]}")
        yield where, row


def lines_of(file: io.IOBase, name: str, newline: str, error: type[UserError] = UserError) -> Generator[str, None, None]:
    """Lines of an open text file with their ends, one at a time; encodings as of :func:`read_text`.

    Args:
        file: at its start.
        name: in errors.
        newline: as of :class:`io.TextIOWrapper`: ``""`` ends lines at any line end, ``"\\n"`` at line feeds alone.
        error: class of the errors.

    Raises:
        error: another encoding, or a NUL character; it names the file and the line before.
    """
    start = file.read(4)
    mark, encoding = next(((m, e) for m, e in MARKS if start.startswith(m)), (b"", "utf-8"))
    file.seek(len(mark))
    text, number = io.TextIOWrapper(cast(IO[bytes], file), encoding=encoding, newline=newline), 0
    try:
        for number, line in enumerate(text, start=1):
            if "\0" in line:
                raise error(
                    f"{name}, line {number}: holds a NUL character, or is UTF-16 without a byte order mark; convert it to UTF-8"
                )
            yield line
    except UnicodeDecodeError:
        raise error(
            f"{name}, after line {number}: not {encoding.upper()}; convert it to UTF-8 (iconv -f WINDOWS-1252 -t UTF-8)"
        ) from None
    finally:
        text.detach()
