"""A reader of pictures whose library has faults; imports little, as every process that it ends is started again."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from ctran.inference.many import PictureReader

FATAL = {
    b"segfault": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    b"abort": os.abort,
    b"exit": lambda: os._exit(3),
    b"exit as if all were well": lambda: os._exit(0),
    b"blocked": lambda: time.sleep(1000),
}


@dataclass(frozen=True)
class CrashingReader(PictureReader):
    """Reads pictures with a library that has faults."""

    log: Path | None = None

    def square(self, image, *, name=None, max_pixels=None):
        content = Path(image).read_bytes() if isinstance(image, str) else image
        assert self.log is not None
        with self.log.open("ab") as file:
            file.write(str(name).encode() + b"\n")
        if content in FATAL:
            FATAL[content]()
        return super().square(image, name=name, max_pixels=max_pixels)
