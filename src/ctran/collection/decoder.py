"""A process that decodes pictures, and is replaced where a picture ends or blocks it: libraries for pictures can crash.

Processes are forked from a small server, not from this process: that has threads and perhaps a GPU, and a fork of it may block.
"""

import multiprocessing
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from ctran.collection import storage
from ctran.collection.rows import Row
from ctran.collection.storage import is_url
from ctran.errors import UserError
from ctran.inference.many import PictureReader

Decoded = tuple[UInt8[Tensor, "B S S 3"], dict[int, str]]
"""Squares of the pictures of a batch that can be read, and why the others cannot, by their place in the batch."""
SECONDS = 300.0
"""A picture that takes longer to decode is given up."""
TRIES = 2
"""A picture is given up when it has ended so many processes: one may have been killed for another reason."""
IN_A_ROW = 10
"""When so many pictures in a row have ended their processes, the pictures are not the reason."""


class Decoder:
    """Decodes batches in a process beside this one.

    Args:
        reader: from a picture to a square.
        seconds: time limit of one picture.
    """

    def __init__(self, reader: PictureReader, seconds: float = SECONDS) -> None:
        self.reader, self.seconds = reader, seconds
        self.given_up = 0  # pictures in a row
        self.closed = False
        self._start()

    def _start(self) -> None:
        kind = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        context: Any = multiprocessing.get_context(kind)
        context.set_forkserver_preload([__name__])
        self._link, far = context.Pipe()
        arguments = (far, self.reader, dict(os.environ), str(Path.cwd()))
        self._process = context.Process(target=_serve, args=arguments, daemon=True, name="decoder")
        self._process.start()
        far.close()

    def decode(self, rows: Sequence[Row]) -> Decoded:
        """Decode the pictures of some rows, each once.

        Raises:
            UserError: processes end whatever they decode.
        """
        size = self.reader.preprocessing.size
        squares = torch.zeros((len(rows), size, size, 3), dtype=torch.uint8, pin_memory=torch.cuda.is_available())
        broken, done, died = dict[int, str](), 0, 0
        while done < len(rows):
            begun = False
            try:
                self._link.send(rows[done:])
                self._link.recv()  # the files of URLs have been fetched
                begun = True
                while done < len(rows):
                    reason = self._receive(squares[done - len(broken)])
                    if reason is not None:
                        broken[done] = reason
                    done, died, self.given_up = done + 1, 0, 0
            except (EOFError, OSError, TimeoutError) as error:
                if self.closed:
                    raise
                died += 1
                reason = self._replace(late=isinstance(error, TimeoutError))
                if self.closed:  # meanwhile
                    self._process.kill()
                    raise
                if died >= TRIES or isinstance(error, TimeoutError):
                    self._give_up(begun, reason)
                    broken[done] = f"{rows[done].where}: {reason}"
                    done, died = done + 1, 0
        return squares[: len(rows) - len(broken)], broken

    def _receive(self, square: UInt8[Tensor, "S S 3"]) -> str | None:
        """Fill in the next picture, or return why it cannot be read."""
        if not self._link.poll(self.seconds):
            raise TimeoutError
        reason = self._link.recv()
        if reason is None:
            self._link.recv_bytes_into(_bytes(square))
        return reason

    def _replace(self, *, late: bool) -> str:
        """Start another process in place of one that has ended or is late; why, in words."""
        if late:
            self._process.kill()
        self._process.join()
        status = self._process.exitcode or 0
        self._link.close()
        self._start()
        if late:
            return f"decoding it takes longer than {self.seconds:.0f} s"
        ended = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        return f"decoding it ends the process ({ended}), {TRIES} times: a fault of the library that decodes, or want of memory"

    def _give_up(self, begun: bool, reason: str) -> None:
        """Count a picture that is given up; too many in a row, or one that was not even begun, have another reason."""
        self.given_up += 1
        if not begun or self.given_up >= IN_A_ROW:
            raise UserError(
                f"processes that decode pictures end again and again (the last: {reason}): try fewer --workers or a smaller "
                "--batch-size. Finished parts are kept: start the same command again"
            )

    def close(self) -> None:
        """End the process, also in the middle of a picture."""
        self.closed = True
        with suppress(OSError):
            self._process.kill()


def _bytes(square: UInt8[Tensor, "S S 3"]) -> Any:
    return memoryview(square.numpy().reshape(-1))  # pyright: ignore[reportArgumentType]


def _serve(link: Connection, reader: PictureReader, environment: dict[str, str], folder: str) -> None:
    """Decode what comes until the other side is gone. Environment and folder of the server are those of its start."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other side decides
    torch.set_num_threads(1)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    with suppress(EOFError, ConnectionError):
        while True:
            rows: Sequence[Row] = link.recv()
            fetched = _fetch(rows)
            link.send(None)
            for row in rows:
                try:
                    square = decode_one(reader, row, fetched)
                except UserError as error:
                    link.send(str(error))
                else:
                    link.send(None)
                    link.send_bytes(_bytes(square.contiguous()))


def _fetch(rows: Sequence[Row]) -> dict[str, bytes | UserError]:
    """The pictures that are behind URLs, side by side."""
    remote = [row.source for row in rows if isinstance(row.source, str) and is_url(row.source)]
    return dict(zip(remote, storage.read_all(remote), strict=True)) if remote else {}


def decode_one(reader: PictureReader, row: Row, fetched: dict[str, bytes | UserError]) -> UInt8[Tensor, "S S 3"]:
    """The square of one row.

    Raises:
        UserError: the picture cannot be read.
    """
    source = fetched.get(row.source, row.source) if isinstance(row.source, str) else row.source
    if isinstance(source, UserError):
        raise UserError(f"{row.where}: {source}")
    return reader.square(source, name=row.where)


def decode_here(reader: PictureReader, rows: Sequence[Row]) -> Decoded:
    """The same in this process."""
    fetched = _fetch(rows)
    squares, broken = list[Tensor](), dict[int, str]()
    for place, row in enumerate(rows):
        try:
            squares.append(decode_one(reader, row, fetched))
        except UserError as error:
            broken[place] = str(error)
    size = reader.preprocessing.size
    return (torch.stack(squares) if squares else torch.zeros((0, size, size, 3), dtype=torch.uint8)), broken
