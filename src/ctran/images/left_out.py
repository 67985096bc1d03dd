"""Which files of a folder are left out as pictures, why, and what helps."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ctran.images.formats import endings
from ctran.images.reading import picture_files

HEAD = 32
"""Bytes at the start of a file that identify its format."""
HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_RAW = (".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw")
_DRAWN = (".svg", ".pdf", ".eps", ".ai")
_UNREAD = {"HEIC": ".heic", "AVIF": ".avif", "JPEG XL": ".jxl"}
"""Formats that are read only where a library is installed, or never, and an ending of each."""
_LINK, _DANGLING, NAME = "link to a folder", "link to nothing", "name that is not UTF-8"
HELP = {
    "HEIC": "pip install pillow-heif, or convert them to JPEG",
    "AVIF": "pip install pillow-avif-plugin, or convert them to JPEG",
    "JPEG XL": "convert them to JPEG or PNG",
    "camera raw": "convert them to JPEG",
    "drawing or document": "convert them to PNG",
    "picture without an ending": "rename them to .jpg, .png, ...",
    "picture under another ending": "rename them to .jpg, .png, ...",
    _LINK: "move the pictures here, or name that folder itself",
    _DANGLING: "remove them",
    NAME: "rename them",
}
"""Kind of file that is left out -> what to do about it."""


@dataclass(frozen=True)
class LeftOut:
    """Files of a folder that are not read although they may be meant as pictures.

    Args:
        kinds: kind (a key of :data:`HELP`) -> names relative to the folder, sorted; no kind is empty.
    """

    kinds: dict[str, tuple[str, ...]]

    def __len__(self) -> int:
        return sum(map(len, self.kinds.values()))

    def lines(self) -> list[str]:
        """One line a kind for people: how many, the first, what helps."""
        return [
            f"{len(names):,} left out ({kind}; first: {shown(names[0])}): {HELP[kind]}" for kind, names in self.kinds.items()
        ]


def shown(name: str) -> str:
    """A file name that any terminal and any JSON can hold."""
    try:
        name.encode()
        return name
    except UnicodeEncodeError:
        return ascii(name)


def left_out(folder: Path, taken: Iterable[Path] | None = None, *, deep: bool = True) -> LeftOut:
    """Files in a folder (and below, where ``deep``) that may be meant as pictures and are not read; hidden ones do not count.

    Each file that is not taken is judged by its ending and its first :data:`HEAD` bytes; texts, tables and videos do not count.

    Args:
        folder: it is searched; links to folders are not followed.
        taken: the files that are read; None takes those of :func:`ctran.images.reading.picture_files`.
    """
    known = {os.path.normpath(path) for path in (picture_files(folder) if taken is None else taken)}
    kinds: dict[str, list[str]] = {}
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if deep and not name.startswith("."))
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]  # noqa: PTH114, PTH118
        classified = [(name, _LINK) for name in links]
        for name in files:
            path = os.path.join(parent, name)  # noqa: PTH118
            if name.startswith("."):
                continue
            kind = None if os.path.normpath(path) in known else _kind(Path(path))
            if shown(name) != name and (kind or os.path.normpath(path) in known):
                classified.append((name, NAME))
            elif kind:
                classified.append((name, kind))
        for name, kind in classified:
            kinds.setdefault(kind, []).append(Path(parent, name).relative_to(folder).as_posix())
    return LeftOut({kind: tuple(sorted(kinds[kind])) for kind in HELP if kind in kinds})


def _kind(path: Path) -> str | None:
    """What a file that is not read may be, as a key of :data:`HELP`; None if it is not a picture."""
    ending = path.suffix.lower()
    if path.is_symlink() and not path.exists():
        return _DANGLING
    if not path.is_file():
        return None
    if ending in _RAW:
        return "camera raw"
    if ending in _DRAWN:
        return "drawing or document"
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return None
    form = _form(head)
    if form in _UNREAD and _UNREAD[form] not in endings():
        return form
    for name, own in _UNREAD.items():
        if ending == own or (own == ".heic" and ending == ".heif"):
            return name
    if form is None:
        return None
    return "picture under another ending" if ending else "picture without an ending"


def _form(head: bytes) -> str | None:
    """Format of a picture by its first bytes; None for anything else."""
    if head[4:8] == b"ftyp":
        brands = [head[at : at + 4] for at in (8, *range(16, len(head), 4))]
        if any(brand in (b"avif", b"avis") for brand in brands):
            return "AVIF"
        return "HEIC" if any(brand in HEIF for brand in brands) else None
    signatures = {
        b"\xff\x0a": "JPEG XL",
        b"\x00\x00\x00\x0cJXL ": "JPEG XL",
        b"\xff\xd8\xff": "JPEG",
        b"\x89PNG\r\n": "PNG",
        b"GIF8": "GIF",
        b"II*\x00": "TIFF",
        b"MM\x00*": "TIFF",
        b"\x00\x00\x00\x0cjP  ": "JPEG 2000",
    }
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[:2] == b"BM" and head[6:10] == b"\0\0\0\0":
        return "BMP"
    return next((form for sign, form in signatures.items() if head.startswith(sign)), None)
