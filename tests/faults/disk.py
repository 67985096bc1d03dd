"""A disk of a few megabytes that can be filled: a tmpfs, which takes an administrator's rights to mount."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ctran.cli._errors import readable

BALLAST = ".ballast"


class Disk:
    """A folder on a file system of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def leave(self, size: int) -> None:
        """Fill the disk but for so many bytes (whole pages)."""
        stat = os.statvfs(self.root)
        with (self.root / BALLAST).open("ab") as file:
            file.write(b"\0" * max(0, stat.f_bavail * stat.f_frsize - size))

    def read_only(self) -> None:
        """As a disk becomes that has a fault."""
        subprocess.run(["mount", "-o", "remount,ro", str(self.root)], check=True)

    def free(self) -> None:
        """What a user does: delete something else."""
        (self.root / BALLAST).unlink(missing_ok=True)


@contextmanager
def mounted(root: Path, megabytes: int) -> Iterator[Disk]:
    """A small disk; the test is skipped where none can be mounted."""
    root.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(root)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {made.stderr.strip()}")
    try:
        yield Disk(root)
    finally:
        subprocess.run(["umount", "-l", str(root)], check=True)


@contextmanager
def refused(root: Path, *words: str) -> Iterator[list[str]]:
    """What is done ends in an error that the command line prints in one line, and that names a file below ``root``."""
    messages: list[str] = []
    with pytest.raises(Exception) as caught:
        yield messages
    message = readable(caught.value)
    assert message is not None, repr(caught.value)
    assert str(root) in message and "\n" not in message, message
    assert any(word in message.lower() for word in words or ("no space", "are free", "full")), message
    messages.append(message)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, but the ballast."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and p.name != BALLAST}
