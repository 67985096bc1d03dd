"""The processes of one training: started, connected, and ended together."""

import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from ctran.devices import find_device
from ctran.errors import UserError
from ctran.training.heartbeat import ENDED, FAILED, INTERRUPTED, MOST, Heartbeat, identity
from ctran.training.options import Training
from ctran.training.processes import Place, environment_of

MEET = timedelta(minutes=30)
"""How long processes wait for each other at the start, and for what one of them computes alone; a lost one ends it earlier."""
CONNECTION = re.compile(r"connection|peer|socket|gloo|nccl|broken pipe|timed? ?out", re.IGNORECASE)
"""Errors of operations on several devices that follow the loss of one."""
LAUNCH_VARIABLES = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE")


class Group:
    """The processes of a training, seen from one of them.

    Args:
        place: of this process.
        options: of the training.
        run: its folder, for the error when a process is lost.
    """

    def __init__(self, place: Place, options: Training | None = None, run: Path | None = None) -> None:
        self.place, self.options, self.run = place, options or Training(), run
        self.rank, self.world = place.rank, place.world
        self._store: Any = None
        self._heartbeat: Heartbeat | None = None
        self._meetings: dict[str, int] = {}

    def join(self) -> None:
        """Connect with the other processes, after starting them if that is up to this one; the second time does nothing."""
        if self.world == 1 or self._store is not None:
            return
        environment = environment_of(self.place)
        os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = environment.main_address, str(environment.main_port)
        started = _start_others(self.world) if self.place.starts_others else []
        store, _, _ = next(distributed.rendezvous("env://", self.rank, self.world, timeout=MEET))
        self._store = distributed.PrefixStore("ctran", store)
        beat = self._store.clone()
        seconds = self.options.heartbeat
        beat.set_timeout(timedelta(seconds=2 * seconds))  # the heartbeat itself ends it earlier
        further = f". Go on with: ctran train --resume {self.run}" if self.run is not None else ""
        self._heartbeat = Heartbeat(beat, self.rank, self.world, seconds, started=started, advice=further)
        self._store.set(f"identity/{self.rank}", identity())
        self._store.set(f"heartbeat/{self.rank}", "0")
        self.barrier("joined")
        self._heartbeat.start()
        device = _device(self.options, self.place.local_rank)
        distributed.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            store=store,
            rank=self.rank,
            world_size=self.world,
            timeout=MEET,
            device_id=device if device.type == "cuda" else None,
        )

    def barrier(self, name: str) -> None:
        """Wait until all processes are here."""
        self.gather(name, "")

    def gather(self, name: str, value: str) -> list[str]:
        """The values of all processes, by rank; waits for all of them."""
        if self.world == 1:
            return [value]
        number = self._meetings[name] = self._meetings.get(name, -1) + 1
        keys = [f"{name}/{number}/{rank}" for rank in range(self.world)]
        self._store.set(keys[self.rank], value)
        self._await(keys)
        return [found.decode() for found in self._store.multi_get(keys)]

    def _await(self, keys: list[str], seconds: float = math.inf) -> None:
        """Wait for keys of the store, as long as it takes: the heartbeat ends it if a process is lost.

        Not by the store's own wait, which a signal does not interrupt.
        """
        until, pause = time.monotonic() + seconds, 0.01
        while not self._store.check(keys) and time.monotonic() < until:
            time.sleep(pause)
            pause = min(1.5 * pause, 0.25)

    def leave(self) -> None:
        """Part in peace: the first process waits for the others, as the store is its own."""
        if self._heartbeat is None:
            return
        self.barrier("end")
        self._heartbeat.close(ENDED)
        if distributed.is_initialized():
            distributed.destroy_process_group()
        if self.rank:
            self._store.set(f"gone/{self.rank}", "")  # and asks nothing any more
        else:
            self._await([f"gone/{other}" for other in range(1, self.world)], seconds=60.0)
        self._store = None
        self._heartbeat.end_children(grace=30.0, ask=False)
        self._heartbeat = None

    def fail(self, error: BaseException) -> None:
        """Let the others end too, after an error here; if it is because one of them was lost, that is reported and ends all.

        Raises:
            SystemExit: in another process than the first, which reports the error.
        """
        if self._heartbeat is None:
            return
        beat, seconds, self._heartbeat = self._heartbeat, self.options.heartbeat, None
        expected = isinstance(error, UserError)
        if isinstance(error, RuntimeError) and not expected and CONNECTION.search(str(error)):
            beat.join(seconds + 2 * MOST)  # who is lost is known within this time
        moment = min(2 * MOST, seconds)
        if self.rank and expected:
            self._await_failure(moment)  # an error of the recipe is one of the first process too
        text = " ".join((str(error) or type(error).__name__).split())
        beat.close(INTERRUPTED if isinstance(error, KeyboardInterrupt) else f"{FAILED}{text[:1000]}")
        if self.rank:
            self._await_failure(moment)  # torchrun ends the first process, which is to report it, as soon as this one ends
        else:
            time.sleep(moment)  # until the others have seen it
        beat.end_children()
        if distributed.is_initialized() and distributed.get_backend() == "gloo":  # NCCL would wait for the others
            distributed.destroy_process_group()
        self._store = None
        if self.rank and expected:
            sys.exit(1)

    def _await_failure(self, seconds: float) -> None:
        """Wait a moment for an error, or the end, of the first process."""
        until = time.monotonic() + seconds
        with suppress(Exception):  # its store may be gone
            while time.monotonic() < until and not self._store.get("heartbeat/0").decode().startswith(FAILED):
                time.sleep(0.1)


ALONE = Group(Place())
"""Of a training in one process."""


@contextmanager
def joined(place: Place, options: Training, run: Path) -> Iterator[Group]:
    """The group of a training. Processes of a launcher are connected at once; others when the first one calls ``join``."""
    before = {key: os.environ.get(key) for key in LAUNCH_VARIABLES}
    group = Group(place, options, run)
    try:
        if place.launcher or place.rank:
            group.join()
        yield group
    except BaseException as error:
        group.fail(error)
        raise
    finally:
        group.leave()
        for key, value in before.items():  # the next training of this process starts processes of its own
            os.environ.pop(key, None)
            if value is not None:
                os.environ[key] = value


def _start_others(world: int) -> list["subprocess.Popen[bytes]"]:
    """Start this command once more for each other device of this machine, as Lightning does."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    command = [sys.executable, *(["-m", spec.name] if spec else [str(Path(sys.argv[0]).absolute())]), *sys.argv[1:]]
    os.environ |= {"NODE_RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": str(world)}
    return [subprocess.Popen(command, env=os.environ | {"LOCAL_RANK": str(rank)}) for rank in range(1, world)]


def _device(options: Training, local_rank: int) -> torch.device:
    """The device of a process, for the way in which it talks to others."""
    if options.accelerator not in ("auto", "gpu", "cuda") or not torch.cuda.is_available():
        return torch.device("cpu")
    return find_device(f"cuda:{local_rank}")
