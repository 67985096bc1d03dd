"""``last.ckpt``, from which a run resumes: written atomically, checked before it is used."""

import os
import pickle
import sys
import zipfile
from pathlib import Path
from textwrap import shorten
from typing import IO, Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from ctran.files import atomic, temporary_name
from ctran.training.lock import RunFolderError

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"
BROKEN = (
    ValueError,
    zipfile.BadZipFile,
    RuntimeError,
    pickle.UnpicklingError,
    LookupError,
    TypeError,
    AttributeError,
    EOFError,
)
"""Errors of zipfile and torch for damaged files; not OSError: a file without read permission is not damaged."""


class Checkpoints(TorchCheckpointIO):
    """Writes ``last.ckpt`` atomically and keeps the previous one as ``previous.ckpt``.

    Lightning moves it from the folder for temporary files, which between file systems is a copy over the only good
    checkpoint.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        path = Path(path)
        with atomic(path) as part:
            with part.open("wb") as file:
                writer = _Writer(file)
                torch.save(checkpoint, writer)  # pyright: ignore[reportArgumentType]
                if writer.error is not None:
                    raise writer.error
            if path.exists():
                _keep(path, path.with_name(PREVIOUS))


class _Writer:
    """A file that keeps the first error of its disk: torch.save itself turns a full disk into "unexpected pos 64 vs 0"."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, data: bytes | memoryview) -> int:
        """Write, or after an error do nothing."""
        try:
            if self.error is None:
                self.file.write(data)
        except OSError as error:
            self.error = error
        return len(data)

    def flush(self) -> None:
        """Hand everything to the system."""
        try:
            self.file.flush()
        except OSError as error:
            self.error = self.error or error


def _keep(path: Path, previous: Path) -> None:
    """Keep a file under a second name too, by a hard link where possible."""
    if previous.exists() and previous.samefile(path):  # of a killed save; renaming a link to the same file does nothing
        return
    other = temporary_name(previous)
    try:
        os.link(path, other)
    except OSError:  # a file system without hard links
        path.replace(previous)
    else:
        other.replace(previous)


def checkpoint_to_resume(run: Path) -> Path | None:
    """The newest intact checkpoint of a run; None if it has none yet, so that training starts at the first epoch.

    Raises:
        RunFolderError: there are checkpoints and all are damaged; the message names what is left.
    """
    there = [run / name for name in (LAST, PREVIOUS) if (run / name).exists()]
    damaged: list[str] = []
    for path in there:
        try:
            epochs = epochs_of(path)
        except BROKEN as error:
            why = shorten(str(error) or type(error).__name__, 100, placeholder=" ...")
            damaged.append(f"{path.name} is damaged ({why})")
            continue
        if damaged or path.name != LAST:
            why = damaged[0] if damaged else f"{LAST} is missing"
            print(f"{run}: {why}; going on from {path.name}, after epoch {epochs}", file=sys.stderr)
        return path
    if damaged:
        best = f"{run / 'model'} holds the best model so far and can be used or fine-tuned (training.init_from)"
        left = best if (run / "model" / "config.json").exists() else "no model was saved yet"
        raise RunFolderError(
            f"{run}: {' and '.join(damaged)}, so training cannot go on from there; {left}. "
            f"To train from the first epoch again, delete {' and '.join(p.name for p in there)} and resume"
        )
    return None


def epochs_of(path: Path) -> int:
    """Finished epochs of a checkpoint, after a check of all its bytes against their checksums.

    Raises:
        ValueError: a wrong checksum, or contents that are missing; or the errors of zipfile and torch.
    """
    with zipfile.ZipFile(path) as archive:
        if (bad := archive.testzip()) is not None:
            raise ValueError(f"wrong checksum of {bad}")
    content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    if missing := {"state_dict", "loops", "optimizer_states", "callbacks"} - content.keys():
        raise ValueError(f"{sorted(missing)[0]} is missing")
    return finished_epochs(content)


def finished_epochs(checkpoint: dict[str, Any]) -> int:
    """Epochs that were trained and validated when the checkpoint was written; also the number of the next one, from 0."""
    return int(checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])
