"""A folder of pictures and their known labels, on disk and in memory."""

import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from ctran.constraints.rules import Constraints, ContradictionError
from ctran.data.folder_labels import FILE as LABELS
from ctran.data.folder_labels import FolderLabels
from ctran.errors import UserError
from ctran.images.left_out import left_out
from ctran.images.reading import picture_files
from ctran.labelling import edits, rows
from ctran.labelling.journal import FOLDER, Journal, Known


class FolderOnDisk:
    """Pictures of a folder and their known labels. Thread-safe; one studio may have a folder open.

    Changes go to a journal (SQLite, in the hidden folder ``.ctran``); :meth:`flush` writes ``metadata.jsonl`` and
    ``labels.yaml``. What another program writes into the folder's file meanwhile is taken over, label by label; where both
    changed one label, the change made here stays.

    Args:
        folder: of the pictures.
        absent: what it means that a row that is there before the studio was used does not list a label.

    Raises:
        UserError: another studio has the folder open, or a file of it cannot be read.
    """

    def __init__(self, folder: Path, absent: Literal["unknown", "negative"] = "unknown") -> None:
        self.folder = folder
        (folder / FOLDER).mkdir(exist_ok=True)
        self._alone = FileLock(folder / FOLDER / "lock")
        try:
            self._alone.acquire(timeout=0)
        except Timeout:
            raise UserError(f"{folder} is open in another studio; use that one, or stop it") from None
        try:
            self._lock = threading.RLock()
            self._journal = Journal(folder / FOLDER / "journal.sqlite")
        except BaseException:
            self._alone.release()
            raise
        try:
            found = picture_files(folder)
            names = [path.relative_to(folder).as_posix() for path in found]
            self.pictures = [name for name in names if name.encode("utf-8", "replace").decode() == name]
            self.notes = left_out(folder, found).lines()
            self._known, self._written = dict[str, Known](), dict[str, Known]()
            for name, (known, written) in self._journal.pictures().items():
                self._known[name], self._written[name] = known, written
            self._raw = dict[str, dict[str, Any]]()
            self.revision = 0
            """Grows with each change."""
            self._begin(absent)
        except BaseException:
            self._journal.close()
            self._alone.release()
            raise

    @property
    def labels(self) -> FolderLabels:
        """The labels and their rules."""
        return self._labels

    @property
    def rules(self) -> Constraints:
        """Exclusive groups and implications."""
        return self._rules

    def known(self, picture: str) -> Known:
        """Known labels of a picture (a copy)."""
        with self._lock:
            return dict(self._known.get(picture, {}))

    def all_known(self) -> dict[str, Known]:
        """Known labels of the pictures that have some."""
        with self._lock:
            return {name: dict(known) for name, known in self._known.items() if known}

    @property
    def unsaved(self) -> bool:
        """Whether there are changes that are in the journal alone."""
        with self._lock:
            return self._labels.as_dict() != self._labels_written or bool(self._changed())

    # ------------------------------------------------------------------- files

    def flush(self) -> bool:
        """Write what has changed into the folder's files; whether there was something.

        Raises:
            OSError: the folder cannot be written into; the journal has everything still.
            BusyError: another program holds the folder's lock.
            DataError: another program has written something into the folder's file that cannot be read.
        """
        if not self.unsaved:
            return False
        with rows.alone(self.folder):
            with self._lock:
                self._take_in()
                raw, labels = dict(self._raw), self._labels
                known = {name: dict(each) for name, each in self._known.items()}
                changed = self._changed()
            rows.write(self.folder, raw, known)
            labels.write(self.folder)
            with self._lock:
                now = {name: known.get(name, {}) for name in changed}
                self._written.update(now)
                self._labels_written = labels.as_dict()
                self._seen = rows.stamp(self.folder)
                self._journal.written({}, now, self._marks())
        return True

    def close(self) -> None:
        """:meth:`flush`, and let another studio open the folder."""
        try:
            self.flush()
        finally:
            self._journal.close()
            self._alone.release()

    def _begin(self, absent: Literal["unknown", "negative"]) -> None:
        """Read the folder's files, and what the journal has beyond them."""
        self._seen = self._journal.value("seen")
        self._labels_written = self._journal.value("labels_written")
        first = self._seen is None and not self._known
        on_disk, kept = FolderLabels.read(self.folder), self._journal.value("labels")
        self._labels = on_disk
        if kept is not None:
            mine = FolderLabels.from_dict(kept, f"{self._journal.path}, labels")
            edited = on_disk.as_dict() != self._labels_written and (self.folder / LABELS).exists()
            self._labels = _with(on_disk, mine.names) if edited else mine
        self._rules = edits.constraints_of(self._labels)
        self._places = {name: number for number, name in enumerate(self.pictures)}
        self._take_in(again=True)
        if self._labels_written is None:
            self._labels_written = self._labels.as_dict()
            self._journal.put(self._marks())
        if first and absent == "negative":
            self._complete()

    def _take_in(self, *, again: bool = False) -> None:
        """Take over what another program has written into the folder's file since it was last read or written."""
        seen = rows.stamp(self.folder)
        if not again and seen == self._seen:
            return
        found = rows.read(self.folder, self.pictures)
        known, names = dict[str, Known](), dict.fromkeys(self._labels.names)
        for name, theirs in found.known.items():
            base, mine = self._written.get(name, {}), self._known.get(name, {})
            changed = {n: mine.get(n) for n in (*base, *mine) if mine.get(n) != base.get(n)}
            merged = {n: yes for n, yes in ({**theirs, **changed}).items() if yes is not None}
            if merged != mine and not self._contradicts(merged):
                known[name] = merged
            names |= dict.fromkeys(known.get(name, mine))
        self._labels = _with(self._labels, names)
        self._rules = edits.constraints_of(self._labels)
        self._raw, self._seen = found.raw, seen
        self._known.update(known)
        self._written.update(found.known)
        self.revision += 1
        self._journal.written(known, found.known, self._marks())

    def _complete(self) -> None:
        """Labels that no row lists are absent, in all rows."""
        known = dict[str, Known]()
        for name in self._raw:
            full = {**dict.fromkeys(self._labels.names, False), **self._known.get(name, {})}
            if not self._contradicts(full):
                known[name] = {**self._known.get(name, {}), **full}
        self._known.update(known)
        self._labels = replace(self._labels, others_absent=True)
        self._journal.written(known, {}, self._marks())

    def _marks(self) -> dict[str, Any]:
        return {"seen": self._seen, "labels": self._labels.as_dict(), "labels_written": self._labels_written}

    def _changed(self) -> list[str]:
        """Pictures whose labels differ from those in the folder's file."""
        return [name for name, known in self._known.items() if known != self._written.get(name, {})]

    def _contradicts(self, known: Mapping[str, bool]) -> bool:
        try:
            self._rules.follow(known)
        except ContradictionError:
            return True
        return False

    def _become(self, labels: FolderLabels, known: Mapping[str, Known]) -> None:
        if labels != self._labels:
            self._labels, self._rules = labels, edits.constraints_of(labels)
        self._known.update(known)
        self.revision += 1


def _with(labels: FolderLabels, names: Mapping[str, Any] | tuple[str, ...]) -> FolderLabels:
    """With further names at the end."""
    return replace(labels, names=tuple(dict.fromkeys((*labels.names, *names))))
