"""Training in a process of its own, by the command that a person would type."""

import json
import os
import shlex
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ctran.errors import UserError
from ctran.files import atomic_folder

RECIPES: Mapping[str, Sequence[str]] = {
    "quick": ("--training.feature_views", "1", "--training.augmentation", "none"),
    "auto": ("--training.feature_views", "1", "--training.augmentation", "none"),
}
"""Recipes that are trained on the features that the studio has computed: one view of each picture."""
TAIL = 40
"""Lines of the training's log that are kept."""


@dataclass(frozen=True)
class Progress:
    """How far learning is.

    Args:
        state: of the last training.
        text: its last line, or why it failed.
        seconds: since it began, or that it took.
    """

    state: Literal["never", "running", "done", "failed"] = "never"
    text: str = ""
    seconds: float = 0.0


class Learner:
    """Trains on a folder's rows; the run folder is replaced when the new one is whole.

    Args:
        folder: of the pictures and their rows.
        run: folder of the trained model; what is there is replaced, so it must be a run or nothing.
        recipe: name or file of a recipe with a frozen backbone.
        flags: further flags of ``ctran train``.
        learnt: called after each training that succeeded.

    Raises:
        UserError: ``run`` is something else than a run folder.
    """

    def __init__(
        self, folder: Path, run: Path, recipe: str, flags: Sequence[str] = (), learnt: Callable[[], None] = lambda: None
    ) -> None:
        if run.exists() and not (run / "recipe.yaml").is_file() and (not run.is_dir() or any(run.iterdir())):
            raise UserError(f"{run} is there already, and is not a run folder; give another folder with --output")
        self.folder, self.run, self.recipe, self.flags, self.learnt = folder, run, recipe, tuple(flags), learnt
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[str] | None = None
        self._next: subprocess.Popen[str] | None = None
        self._log = deque[str](maxlen=TAIL)
        self._state: Literal["never", "running", "done", "failed"] = "never"
        self._began = self._ended = 0.0
        self._closed = False

    @property
    def command(self) -> list[str]:
        """What is run, without the folder that it writes into."""
        given = [*RECIPES.get(self.recipe, ()), *self.flags]
        return ["train", self.recipe, "--root", str(self.folder), "--absent", "unknown", "--skip-broken", "true", *given]

    @property
    def text(self) -> str:
        """The command as a person types it."""
        return shlex.join(["ctran", *self.command, "--output", str(self.run)])

    @property
    def progress(self) -> Progress:
        """How far it is."""
        with self._lock:
            end = time.monotonic() if self._state == "running" else self._ended
            return Progress(self._state, self._log[-1] if self._log else "", end - self._began if self._began else 0.0)

    def start(self) -> bool:
        """Begin to train in the background; False where it is training already."""
        with self._lock:
            if self._state == "running" or self._closed:
                return False
            self._state, self._began = "running", time.monotonic()
            self._log.clear()
            self._thread = threading.Thread(target=self._train, name="learner", daemon=True)
            self._thread.start()
        return True

    def close(self) -> None:
        """Stop a training that runs; what it has is discarded."""
        with self._lock:
            self._closed, thread = True, self._thread
            processes = [each for each in (self._process, self._next) if each is not None]
            waiting = self._next
        for process in processes:
            with suppress(ProcessLookupError):
                process.terminate()
        if thread is not None:
            thread.join()
        if waiting is not None:
            waiting.wait()
            for pipe in (waiting.stdin, waiting.stderr):
                if pipe is not None:
                    pipe.close()

    def _train(self) -> None:
        try:
            with atomic_folder(self.run) as part:
                self._run_in(part)
            self.learnt()
        except Exception as error:  # shown in the page; a thread has no caller
            with self._lock:
                self._state = "failed"
                if not self._log or str(error):
                    self._log.append(str(error) or type(error).__name__)
        else:
            with self._lock:
                self._state = "done"
        finally:
            with self._lock:
                self._ended, self._process = time.monotonic(), None

    def warm(self) -> None:
        """Start the process of the next training, which then has imported what it needs."""
        with self._lock:
            if self._next is None and not self._closed:
                self._next = _process()

    def _run_in(self, part: Path) -> None:
        with self._lock:
            if self._closed:
                raise UserError("stopped")
            process, self._next = self._next or _process(), None
            self._process = process
        assert process.stdin is not None and process.stderr is not None
        with suppress(OSError, AttributeError):  # clicks come first, where the system can say so
            os.setpriority(os.PRIO_PROCESS, process.pid, 5)
        with suppress(BrokenPipeError), process.stdin as given:  # it has ended: its status says so
            given.write(json.dumps([*self.command, "--output", str(part)]) + "\n")
        with process.stderr as lines:
            for line in lines:
                if line.strip():
                    with self._lock:
                        self._log.append(line.strip().removeprefix("ctran train: "))
        if process.wait():
            with self._lock:
                why = self._log[-1] if self._log else f"the training ended with status {process.returncode}"
            raise UserError("stopped" if self._closed else why)


def _process() -> "subprocess.Popen[str]":
    """A process that waits for a command (:mod:`ctran.cli._worker`)."""
    return subprocess.Popen(
        [sys.executable, "-m", "ctran.cli._worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=_environment(),
    )


def _environment() -> dict[str, str]:
    """That of this process, with the folder of this package on the path, wherever it was started; one core is left to the
    page unless the number of threads is given."""
    source = str(Path(__file__).parents[2])
    paths = os.pathsep.join([source, *filter(None, [os.environ.get("PYTHONPATH")])])
    threads = str(max(1, (os.cpu_count() or 1) - 1))
    return {"OMP_NUM_THREADS": threads, **os.environ, "PYTHONPATH": paths}
