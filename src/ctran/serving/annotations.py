"""A folder that gets labelled: pictures, and ``metadata.jsonl`` beside them, which ``ctran train`` reads."""

import hashlib
import io
import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

FILE = "metadata.jsonl"


class AnnotationError(ValueError):
    """A ``metadata.jsonl`` that cannot be gone on with."""


class Annotations:
    """Rows ``{"file_name", "labels", "negatives"}`` by file name, in the layout of Hugging Face's imagefolder.

    Labels that nobody answered are in neither list: train with ``--absent unknown``. Rows that are there already are kept, with
    all their columns. For many threads of one process.

    Args:
        folder: made when the first annotation is saved.

    Raises:
        AnnotationError: the folder's ``metadata.jsonl`` is damaged; it names the line.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._rows = self._read()

    def _read(self) -> dict[str, dict[str, Any]]:
        path, rows = self.folder / FILE, dict[str, dict[str, Any]]()
        if not path.is_file():
            return rows
        for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                rows[row["file_name"]] = row
            except (ValueError, TypeError, KeyError):
                raise AnnotationError(f"{path}, row {number}: expected JSON with a file_name, got {line[:60]!r}") from None
        return rows

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, file_name: str) -> bool:
        return file_name in self._rows

    def known(self, file_name: str) -> dict[str, bool]:
        """What was said of a picture."""
        row = self._rows.get(file_name, {})
        return dict.fromkeys(row.get("labels") or [], True) | dict.fromkeys(row.get("negatives") or [], False)

    def file_name(self, path: Path) -> str:
        """What the rows call a picture of the folder."""
        return path.relative_to(self.folder).as_posix()

    def save(self, file_name: str, known: Mapping[str, bool], content: bytes | None = None) -> str:
        """Write what is known of a picture; an earlier row of it is replaced.

        Args:
            file_name: relative to the folder; where ``content`` is given, only its ending counts.
            content: of a picture that is not in the folder yet; it is named by its digest, so that no two get in each other's
                way.

        Returns:
            The file name of the row.
        """
        with self._lock:
            self.folder.mkdir(parents=True, exist_ok=True)
            if content is not None:
                file_name = hashlib.sha256(content).hexdigest()[:24] + _ending(file_name, content)
                if not (self.folder / file_name).exists():
                    _write(self.folder / file_name, content)
            lists = {"labels": [n for n, yes in known.items() if yes], "negatives": [n for n, yes in known.items() if not yes]}
            rows = self._rows | {file_name: {**self._rows.get(file_name, {"file_name": file_name}), **lists}}
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows.values())
            _write(self.folder / FILE, text.encode())
            self._rows = rows
        return file_name


def _ending(name: str, content: bytes) -> str:
    """Ending of a picture's file, by what it is."""
    form = Image.open(io.BytesIO(content)).format or ""
    known = [ending for ending, of in Image.registered_extensions().items() if of == form]
    own = Path(name).suffix.lower()
    return own if own in known else min(known, key=len, default=".img")


def _write(path: Path, content: bytes) -> None:
    """In one step, and on the disk before it counts."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
