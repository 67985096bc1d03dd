"""Samples of tar files in the form of WebDataset: members that share their name up to its first dot.

The standard library's reader is used: WebDataset's own opens shell commands as addresses.
"""

import lzma
import tarfile
import zlib
from collections.abc import Iterator

from ctran.images.formats import endings

LARGEST = 2**30
"""Bytes of a member; a larger one is not read."""
_LIMIT = 2**36
"""Bytes of a member that no tar file of samples has: its header is damaged, and skipping it would take minutes or for ever."""
DAMAGED = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError)
"""What a tar file raises that is damaged, or is none."""


def samples(tar: tarfile.TarFile) -> Iterator[tuple[str, dict[str, bytes | None]]]:
    """Name of each sample, and its members by ending (pictures and ``json``); None for what is not read."""
    key, members = "", dict[str, bytes | None]()
    for member in tar:
        if member.size > _LIMIT:
            raise tarfile.ReadError(f"{member.name} has {member.size:,} bytes by its header")
        folder, slash, name = member.name.rpartition("/")
        if not member.isfile() or name.startswith("."):
            continue
        stem, _, ending = name.partition(".")
        own, ending = f"{folder}{slash}{stem}", ending.lower()
        if own != key and members:
            yield key, members
            members = {}
        key = own
        wanted = ending == "json" or f".{ending.rpartition('.')[2]}" in endings()
        file = tar.extractfile(member) if wanted and member.size <= LARGEST else None
        members[ending] = file.read() if file is not None else None
    if members:
        yield key, members
