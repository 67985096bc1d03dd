"""A folder of pictures being labelled, with the ``metadata.jsonl`` beside them that ``ctran train`` reads."""

import hashlib
import json
import threading
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from ctran.data.sources.imagefolder import names_of
from ctran.errors import UserError
from ctran.files import write_bytes
from ctran.images.reading import ending_of
from ctran.labelling.merging import merge
from ctran.labelling.rows import FILE, alone


class AnnotationError(UserError):
    """A ``metadata.jsonl`` that cannot be read or continued."""


class Annotations:
    """Rows ``{"file_name", "labels", "negatives"}`` by file name, in the layout of Hugging Face's imagefolder.

    Labels that nobody annotated are in neither list: train with ``--absent unknown``. Existing rows keep all their columns,
    and labels that the model does not have. The file may change meanwhile: it is read again before each save, under a lock
    that other servers of the folder wait for. Thread-safe.

    Args:
        folder: made when the first annotation is saved.
        names: labels of the model; other labels are neither shown nor changed. None: all labels are the model's.

    Raises:
        AnnotationError: ``metadata.jsonl`` is damaged (the message names the row), or the folder has its rows in another file.
    """

    def __init__(self, folder: Path, names: Collection[str] | None = None) -> None:
        self.folder, self.names = folder, None if names is None else frozenset(names)
        self._lock = threading.Lock()
        if other := [name for name in ("metadata.csv", "metadata.parquet") if (folder / name).is_file()]:
            raise AnnotationError(
                f"{folder / other[0]}: annotations are saved as {FILE}, and a folder has one file of rows; convert it "
                f"to {FILE}, or move it away"
            )
        self._seen = self._stamp()
        self._rows = self._read()

    def _stamp(self) -> tuple[int, ...] | None:
        """Changes whenever the file does, even within one clock tick and at the same size."""
        try:
            stat = (self.folder / FILE).stat()
        except FileNotFoundError:
            return None
        return stat.st_ino, stat.st_ctime_ns, stat.st_mtime_ns, stat.st_size

    def _fresh(self) -> dict[str, dict[str, Any]]:
        """Rows as they are on the disk now."""
        if (now := self._stamp()) != self._seen:
            self._rows, self._seen = self._read(), now
        return self._rows

    def _read(self) -> dict[str, dict[str, Any]]:
        path, rows = self.folder / FILE, dict[str, dict[str, Any]]()
        if not path.is_file():
            return rows
        try:
            lines = path.read_text(encoding="utf-8-sig").split("\n")
        except UnicodeDecodeError as error:
            raise AnnotationError(f"{path} is not UTF-8 ({error}): save it as UTF-8") from None
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                name = row["file_name"]
            except (ValueError, TypeError, KeyError, RecursionError):
                row = name = None
            if not isinstance(row, dict) or not isinstance(name, str):
                raise AnnotationError(f"{path}, row {number}: expected JSON with a file_name, got {line[:60]!r}")
            if name in rows:
                raise AnnotationError(f"{path}, row {number}: {name[:200]!r} is listed twice; make one row of the two")
            rows[name] = row
        return rows

    def __len__(self) -> int:
        return len(self.saved())

    def saved(self) -> Collection[str]:
        """File names of all rows, as they are now."""
        with self._lock:
            return self._fresh().keys()

    def known(self, file_name: str) -> dict[str, bool]:
        """Annotated labels of a picture that the model has; a label in both lists is present, as in training."""
        with self._lock:
            return self._known(self._fresh().get(file_name, {}))

    def _known(self, row: Mapping[str, Any]) -> dict[str, bool]:
        known = dict.fromkeys(self._listed(row, "labels"), True)
        known |= {name: False for name in self._listed(row, "negatives") if name not in known}
        return {name: present for name, present in known.items() if self.names is None or name in self.names}

    def _listed(self, row: Mapping[str, Any], column: str) -> tuple[str, ...]:
        """Names in a cell, parsed as in training."""
        return names_of(row.get(column), ",", f"{self.folder / FILE}, {row.get('file_name')}")

    def file_name(self, path: Path) -> str:
        """File name of a picture in the folder, as the rows have it."""
        return path.relative_to(self.folder).as_posix()

    def name_of(self, file_name: str, content: bytes) -> str:
        """File name for a picture from elsewhere: a digest of its content, so that no two collide.

        Args:
            file_name: name given by the sender; only its extension counts.
        """
        return hashlib.sha256(content).hexdigest()[:24] + ending_of(content, file_name)

    def save(
        self,
        file_name: str,
        known: Mapping[str, bool],
        content: bytes | None = None,
        *,
        base: Mapping[str, bool] | None = None,
        contradicts: Callable[[Mapping[str, bool]], bool] = lambda known: False,
    ) -> str:
        """Save the annotation of a picture.

        Args:
            file_name: relative to the folder; where ``content`` is given, only its extension counts.
            content: of a picture that is not in the folder yet; it is stored under :meth:`name_of`.
            base: what :meth:`known` returned when the annotator began: only the changes since then are applied, so that what
                others saved meanwhile is kept. None replaces the row's labels of the model.
            contradicts: whether labels contradict each other, for the merge.

        Returns:
            The file name of the row; :meth:`known` gives what is stored now.

        Raises:
            ConflictError: changes that were saved meanwhile contradict these; nothing is written.
            BusyError: another process holds the folder's lock.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._lock, alone(self.folder):
            if content is not None:
                file_name = self.name_of(file_name, content)
            rows = self._fresh()
            row = rows.get(file_name, {"file_name": file_name})
            if base is not None:
                known = merge(base, known, self._known(row), contradicts)
            if content is not None and not (self.folder / file_name).exists():
                write_bytes(self.folder / file_name, content)
            lists = {
                column: [*self._foreign(row, column), *(name for name, yes in known.items() if yes == present)]
                for column, present in (("labels", True), ("negatives", False))
            }
            rows = rows | {file_name: {**row, **lists}}
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows.values())
            write_bytes(self.folder / FILE, text.encode())
            self._rows, self._seen = rows, self._stamp()
        return file_name

    def _foreign(self, row: Mapping[str, Any], column: str) -> list[str]:
        """Labels of a cell that the model does not have."""
        return [name for name in self._listed(row, column) if self.names is not None and name not in self.names]
