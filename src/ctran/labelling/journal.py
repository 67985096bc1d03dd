"""Known labels of a folder's pictures in SQLite, so that a click writes one row and not the folder's file."""

import json
import sqlite3
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctran.errors import UserError

FOLDER = ".ctran"
"""Hidden folder below the pictures: the journal, and the lock of the one studio that may be open."""
FORMAT = 1
KEPT = 2000
"""Steps that can be undone."""

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
        try:
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            with self._connection:
                self._connection.execute("CREATE TABLE IF NOT EXISTS picture (name TEXT PRIMARY KEY, known TEXT, written TEXT)")
                self._connection.execute(
                    "CREATE TABLE IF NOT EXISTS step (id INTEGER PRIMARY KEY AUTOINCREMENT, window TEXT, content TEXT)"
                )
                self._connection.execute("CREATE TABLE IF NOT EXISTS value (key TEXT PRIMARY KEY, content TEXT)")
        except sqlite3.DatabaseError as error:
            raise UserError(
                f"{path}: the journal cannot be read ({error}); delete it to start from the folder's files"
            ) from None
        if (held := self.value("format", FORMAT)) != FORMAT:
            raise UserError(f"{path}: a journal of format {held}, this ctran reads {FORMAT}; upgrade ctran")
        self.put({"format": FORMAT})

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def value(self, key: str, default: Any = None) -> Any:
        """A stored value."""
        with self._lock:
            row = self._connection.execute("SELECT content FROM value WHERE key = ?", (key,)).fetchone()
        return default if row is None else json.loads(row[0])

    def put(self, values: Mapping[str, Any]) -> None:
        """Store values."""
        with self._lock, self._transaction():
            self._put(values)

    def pictures(self) -> dict[str, tuple[Known, Known]]:
        """Known labels of each picture, and those that the folder's file had when it was last read or written."""
        with self._lock:
            rows = self._connection.execute("SELECT name, known, written FROM picture").fetchall()
        return {name: (json.loads(known), json.loads(written)) for name, known, written in rows}

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
        with self._lock:
            row = self._connection.execute(
                "SELECT id, content FROM step WHERE window = ? ORDER BY id DESC LIMIT 1", (window,)
            ).fetchone()
        if row is None:
            return None
        plain = json.loads(row[1])
        labels = None if plain["labels"] is None else (plain["labels"][0], plain["labels"][1])
        return row[0], Step(window, plain["title"], tuple(Entry(*entry) for entry in plain["entries"]), labels)

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

    def _transaction(self) -> "_Transaction":
        return _Transaction(self._connection)

    def _change(self, known: Mapping[str, Known], values: Mapping[str, Any]) -> None:
        self._connection.executemany(
            "INSERT INTO picture VALUES (?, ?, '{}') ON CONFLICT (name) DO UPDATE SET known = excluded.known", _rows(known)
        )
        self._put(values)

    def _put(self, values: Mapping[str, Any]) -> None:
        rows = [(key, json.dumps(content)) for key, content in values.items()]
        self._connection.executemany("INSERT OR REPLACE INTO value VALUES (?, ?)", rows)


class _Transaction:
    """All of a block is stored, or nothing."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        self._connection.execute("COMMIT" if kind is None else "ROLLBACK")


def _rows(known: Mapping[str, Known]) -> Iterable[tuple[str, str]]:
    return [(name, json.dumps(each, ensure_ascii=False)) for name, each in known.items()]
