"""Output that stops no command: characters that the encoding lacks are escaped, and a reader may close a pipe early."""

import errno
import io
import json
import os
import sys
from typing import Any


class _Pipe(io.FileIO):
    """A file descriptor whose reader may be gone (``| head``): what is written then is dropped."""

    reader_gone = False

    def write(self, data: Any, /) -> int:
        if self.reader_gone:
            return len(data)
        try:
            return super().write(data)
        except OSError as error:
            if error.errno != errno.EPIPE and not (os.name == "nt" and error.errno == errno.EINVAL):
                raise
            self.reader_gone = True
            return len(data)


def prepare() -> None:
    """Make standard output and error of a program safe, as it starts."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        buffer: Any = stream.buffer if type(stream) is io.TextIOWrapper else None
        unbuffered = type(buffer) is io.FileIO  # python -u
        if not unbuffered and type(getattr(buffer, "raw", None)) is not io.FileIO:
            continue  # somebody else's stream
        stream.flush()
        raw: Any = _Pipe(stream.fileno(), "w", closefd=False)
        direct = stream.write_through
        safe = io.TextIOWrapper(
            raw if unbuffered else io.BufferedWriter(raw),
            encoding=stream.encoding,
            errors=stream.errors,
            line_buffering=stream.line_buffering or raw.isatty(),
            write_through=direct,
        )
        setattr(sys, name, safe)


def escape_what_cannot_be_encoded() -> None:
    """Let both streams print any name; a surrogate of a file name that is not UTF-8 is escaped as well."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            bytes_kept = stream.errors == "surrogateescape" and stream.encoding.lower().replace("-", "") == "utf8"
            if not bytes_kept:
                stream.reconfigure(errors="backslashreplace")


def reader_gone() -> bool:
    """Whether nobody reads standard output any more."""
    buffer = getattr(sys.stdout, "buffer", None)
    return bool(getattr(getattr(buffer, "raw", buffer), "reader_gone", False))


def print_json(content: Any) -> None:
    """One line of JSON; characters that standard output cannot encode become JSON's own escapes."""
    line = json.dumps(content, ensure_ascii=False)
    try:
        line.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        line = json.dumps(content)
    print(line)
