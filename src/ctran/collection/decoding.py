"""Pictures of rows as squares, decoded by processes or by this one, a batch at a time and in order."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from queue import SimpleQueue

from ctran.collection.decoder import SECONDS, Decoded, Decoder, decode_here
from ctran.collection.rows import Row
from ctran.inference.many import PictureReader

AHEAD = 2
"""Batches that each process has been given, or has decoded, before they are asked for."""


class Pictures:
    """Decodes pictures.

    Args:
        reader: from a picture to a square.
        workers: processes that decode ahead, each of at most :data:`AHEAD` batches. A picture that ends or blocks one
            costs only itself. 0 decodes in this process, which such a picture ends or blocks.
        seconds: time limit of one picture, with processes.
    """

    def __init__(self, reader: PictureReader, workers: int = 0, seconds: float = SECONDS) -> None:
        self.reader, self.workers, self.seconds = reader, workers, seconds
        self._idle = SimpleQueue[Decoder]()
        self._all: list[Decoder] = []

    def decode(self, batches: Iterable[list[Row]]) -> Iterator[tuple[list[Row], Decoded]]:
        """Rows (without their content) and what was decoded of them, batch by batch.

        Raises:
            UserError: processes end whatever they decode.
        """
        if not self.workers:
            for rows in batches:
                yield _bare(rows), decode_here(self.reader, rows)
            return
        while len(self._all) < self.workers:
            self._add(Decoder(self.reader, self.seconds))
        coming, flying = iter(batches), deque[tuple[list[Row], Future[Decoded]]]()
        ended, threads = False, ThreadPoolExecutor(self.workers, "decoding")  # one waits for each process
        try:
            while True:
                for rows in islice(coming, self.workers * AHEAD - len(flying)):
                    flying.append((_bare(rows), threads.submit(self._decode, rows)))
                if not flying:
                    break
                rows, found = flying.popleft()
                yield rows, found.result()
            ended = True
        finally:
            if not ended:  # left in the middle, perhaps of a picture that takes minutes
                self.close()
            threads.shutdown(cancel_futures=True)

    def _add(self, decoder: Decoder) -> None:
        self._all.append(decoder)
        self._idle.put(decoder)

    def _decode(self, rows: list[Row]) -> Decoded:
        idle = self._idle
        decoder = idle.get()
        try:
            return decoder.decode(rows)
        finally:
            idle.put(decoder)

    def close(self) -> None:
        """End the processes; the next batch starts others."""
        for decoder in self._all:
            decoder.close()
        self._all, self._idle = [], SimpleQueue()

    def __del__(self) -> None:
        self.close()


def _bare(rows: list[Row]) -> list[Row]:
    """The rows without their content, which is not needed once it was handed over."""
    return [replace(row, source=b"") for row in rows]
