"""Known labels of a folder's pictures in SQLite, so that a click writes one row and not the folder's file."""

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from ctran.errors import UserError, shown

FOLDER = ".ctran"
"""Hidden folder below the pictures: the journal, and the lock of the one studio that may be open."""
FORMAT = 1
KEPT = 2000
"""Steps that can be undone."""
TABLES = (
    "picture (name TEXT PRIMARY KEY, known TEXT, written TEXT)",
    "step (id INTEGER PRIMARY KEY AUTOINCREMENT, window TEXT, content TEXT)",
    "value (key TEXT PRIMARY KEY, content TEXT)",
)

Known = dict[str, bool]


@dataclass(frozen=True)
class Entry:
    """A change of one label of one picture; ``None``: unknown."""

    picture: str
    label: str
    before: bool | None
    after: bool | None


@dataclass(frozen=True)
class Step:
    """What one action changed, so that it can be undone.

    Args:
        window: who did it.
        title: for people: "rename 'dog'".
        entries: changed labels of pictures.
        labels: the labels and their rules before and after, as plain data, where they changed.
    """

    window: str
    title: str
    entries: tuple[Entry, ...] = ()
    labels: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None


class _Plain(msgspec.Struct):
    """A step as it is stored."""

    title: str
    entries: list[tuple[str, str, bool | None, bool | None]]
    labels: tuple[dict[str, Any], dict[str, Any]] | None


class Journal:
    """The journal of one folder. Thread-safe; each method is one transaction.

    Args:
        path: of the SQLite file; made where it is missing.

    Raises:
        UserError: the file is damaged, or of a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        with self._named():
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        try:
            with self._named():
                self._connection.execute("PRAGMA journal_mode=WAL")
                self._connection.execute("PRAGMA synchronous=NORMAL")
                with self._connection:
                    for table in TABLES:
                        self._connection.execute(f"CREATE TABLE IF NOT EXISTS {table}")
            if (held := self.value("format", FORMAT)) != FORMAT:
                raise UserError(f"{path}: a journal of format {shown(held)}, this ctran reads {FORMAT}; upgrade ctran")
            self.put({"format": FORMAT})
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def value(self, key: str, default: Any = None) -> Any:
        """A stored value."""
        with self._lock, self._named():
            row = self._connection.execute("SELECT content FROM value WHERE key = ?", (key,)).fetchone()
        return default if row is None else self._decoded(row[0], Any, f"value {key!r}")

    def put(self, values: Mapping[str, Any]) -> None:
        """Store values."""
        with self._lock, self._transaction():
            self._put(values)

    def pictures(self) -> dict[str, tuple[Known, Known]]:
        """Known labels of each picture, and those that the folder's file had when it was last read or written."""
        with self._lock, self._named():
            rows = self._connection.execute("SELECT name, known, written FROM picture").fetchall()
        found = dict[str, tuple[Known, Known]]()
        for name, *lists in rows:
            if not isinstance(name, str):
                raise self._damaged(f"a picture is called {shown(name)}")
            known, written = (self._decoded(each, Known, f"picture {name!r}") for each in lists)
            found[name] = known, written
        return found

    def record(self, step: Step, known: Mapping[str, Known], values: Mapping[str, Any]) -> None:
        """Store a step, with the pictures and values that it changed."""
        plain = {
            "title": step.title,
            "entries": [[e.picture, e.label, e.before, e.after] for e in step.entries],
            "labels": None if step.labels is None else list(step.labels),
        }
        with self._lock, self._transaction():
            done = self._connection.execute(
                "INSERT INTO step (window, content) VALUES (?, ?)", (step.window, json.dumps(plain))
            )
            self._connection.execute("DELETE FROM step WHERE id <= ?", ((done.lastrowid or 0) - KEPT,))
            self._change(known, values)

    def last(self, window: str) -> tuple[int, Step] | None:
        """The newest step of a window, and its number; None where there is none."""
        with self._lock, self._named():
            row = self._connection.execute(
                "SELECT id, content FROM step WHERE window = ? ORDER BY id DESC LIMIT 1", (window,)
            ).fetchone()
        if row is None:
            return None
        plain = self._decoded(row[1], _Plain, f"step {row[0]}")
        return row[0], Step(window, plain.title, tuple(Entry(*entry) for entry in plain.entries), plain.labels)

    def undone(self, number: int, known: Mapping[str, Known], values: Mapping[str, Any]) -> None:
        """Forget a step, and store what its undoing changed."""
        with self._lock, self._transaction():
            self._connection.execute("DELETE FROM step WHERE id = ?", (number,))
            self._change(known, values)

    def written(self, known: Mapping[str, Known], written: Mapping[str, Known], values: Mapping[str, Any]) -> None:
        """Store what the folder's file holds now (``written``), and labels that were read from it (``known``)."""
        with self._lock, self._transaction():
            self._change(known, values)
            self._connection.executemany(
                "INSERT INTO picture VALUES (?, '{}', ?) ON CONFLICT (name) DO UPDATE SET written = excluded.written",
                _rows(written),
            )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All of a block is stored, or nothing."""
        with self._named():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk has ended it already
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Errors of SQLite name the file; a full or read-only disk is no damage."""
        try:
            yield
        except sqlite3.OperationalError as error:
            code = getattr(error, "sqlite_errorcode", None)  # none where Python's module finds text that is not UTF-8
            if code is None or code & 0xFF not in _SURROUNDINGS:
                raise self._damaged(str(error)) from None
            raise UserError(
                f"{self.path}: cannot be read or written ({error}); free some space, or see to its rights"
            ) from None
        except sqlite3.DatabaseError as error:
            raise self._damaged(str(error)) from None

    def _damaged(self, reason: str) -> UserError:
        return UserError(f"{self.path}: the journal cannot be read ({reason}); delete it to start from the folder's files")

    def _decoded(self, content: Any, kind: Any, what: str) -> Any:
        """A stored value of a kind."""
        try:
            return msgspec.json.decode(content, type=kind)
        except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
            raise self._damaged(f"{what}: {error}") from None

    def _change(self, known: Mapping[str, Known], values: Mapping[str, Any]) -> None:
        self._connection.executemany(
            "INSERT INTO picture VALUES (?, ?, '{}') ON CONFLICT (name) DO UPDATE SET known = excluded.known", _rows(known)
        )
        self._put(values)

    def _put(self, values: Mapping[str, Any]) -> None:
        rows = [(key, json.dumps(content)) for key, content in values.items()]
        self._connection.executemany("INSERT OR REPLACE INTO value VALUES (?, ?)", rows)


_SURROUNDINGS = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
}
"""Errors that have a cause outside of the file."""


def _rows(known: Mapping[str, Known]) -> Iterable[tuple[str, str]]:
    return [(name, json.dumps(each, ensure_ascii=False)) for name, each in known.items()]
