"""Tar files, one a split, as the webdataset package's TarWriter writes them."""

import io
import json
import tarfile
from pathlib import Path

from tests.data.miniatures import imagefolder

MISSING = ()


def pack(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def make(root: Path) -> dict[str, object]:
    """Write it; the options that make it usable."""
    tars: dict[str, dict[str, bytes]] = {}
    for name, (colours, split) in imagefolder.pictures(root).items():
        members = tars.setdefault(split, {})
        members[name] = (root / name).read_bytes()
        members[f"{name[:-4]}.json"] = json.dumps({"labels": colours, "maker": "a"}).encode()
        (root / name).unlink()
    for split, members in tars.items():
        pack(root / f"{split}-000000.tar", members)
    return {"absent": "negative"}


def unpacked(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


def break_pictures(root: Path, contents: list[bytes]) -> None:
    members = unpacked(root / "train-000000.tar")
    pictures = [name for name in members if name.endswith(".png")]
    pack(root / "train-000000.tar", members | dict(zip(pictures, contents, strict=False)))


def break_record(root: Path) -> str:
    members = unpacked(root / "train-000000.tar")
    pack(root / "train-000000.tar", members | {"02.json": b'{"labels": [3]}'})
    return r"train-000000.tar, 02.json, labels: labels must be a list of names, got 3"
