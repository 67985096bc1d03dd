"""Tar files in the form of WebDataset: ``a.jpg`` is a picture, ``a.json`` holds its labels."""

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctran.data.notices import Doubts
from ctran.data.output import Output, by_split, lists_of
from ctran.data.readers.annotations import to_tables
from ctran.data.readers.cells import names_of
from ctran.data.readers.listed import ListedConfig, split_in
from ctran.data.readers.tar_samples import DAMAGED, samples
from ctran.data.readers.unpacked import Unpacked
from ctran.data.rows import Annotated, Row, Says
from ctran.data.table import DataError, SampleTable
from ctran.images.formats import endings
from ctran.textfile import parse_json

SUMMARY = "WebDataset: tar files of pictures, each with a .json that lists its labels"
SAYS = Says.ALL
PICTURES_APART = False
_OWN = ("labels", "negatives", "id")


@dataclass(frozen=True, kw_only=True)
class Config(ListedConfig):
    """Tar files with a picture and a ``.json`` of each sample. Pictures are unpacked into the cache folder.

    The JSON has a list of labels, optionally ``negatives`` (labels that are absent) and ``id``. The name of a file is the
    split: ``train-000000.tar``.

    Args:
        root: a tar file, or the folder of several.
        labels_key: the key of the labels: a list, or a text that is one label.
    """

    labels_key: str = "labels"


def read(config: Config) -> Annotated:
    """The samples of all files."""
    paths = [config.root] if config.root.is_file() else sorted(config.root.glob("*.tar*"))
    if not paths:
        raise DataError(f"{config.root}: no .tar file in it; give the tar file or its folder as --data.root")
    doubts = Doubts()
    rows = [row for path in paths for row in _rows(path, config, doubts)]
    doubts.warn()
    if not rows:
        raise DataError(f"{paths[0]}: no sample with a picture in it")
    return Annotated(rows, config.absent)


def _rows(path: Path, config: Config, doubts: Doubts) -> Iterator[Row]:
    unpacked, split = Unpacked(path), split_in(path, config.root)
    try:
        with tarfile.open(path, mode="r|*") as tar:
            for number, (key, members) in enumerate(samples(tar)):
                where = f"{path}, {key}"
                pictures = {f".{name}": held for name, held in members.items() if f".{name}" in endings() and held is not None}
                if len(pictures) != 1:
                    raise DataError(f"{where}: expected one picture, found {len(pictures)} (members: {', '.join(members)})")
                if (about := members.get("json")) is None:
                    raise DataError(f"{where}: no {key}.json with its labels (members: {', '.join(members)})")
                ((ending, content),) = pictures.items()
                found = unpacked.picture(number, ending, content)
                yield _row(where, f"{path.name}/{key}", found, about, split, config, doubts)
    except (*DAMAGED, ValueError, OverflowError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: not a tar file that can be read to its end ({error})") from None


def _row(where: str, key: str, picture: Path, about: bytes, split: str | None, config: Config, doubts: Doubts) -> Row:
    try:
        values = parse_json(about.decode(), f"{where}.json", DataError, distinct=True)
    except UnicodeDecodeError:
        raise DataError(f"{where}.json: not UTF-8") from None
    if not isinstance(values, dict) or config.labels_key not in values:
        raise DataError(f"{where}.json: expected an object with {config.labels_key!r}; --data.labels_key names another key")
    lists = []
    for name in (config.labels_key, "negatives"):
        cell = values.get(name)
        listed = [cell] if isinstance(cell, str) and cell.strip() else [] if cell in (None, "") else cell
        lists.append(names_of(listed, "\0", f"{where}.json, {name}", doubts))
    extra = {name: value for name, value in values.items() if name not in (*_OWN, config.labels_key)}
    return Row(where, picture, str(values.get("id") or key), lists[0], lists[1], split, extra=extra)


def build(config: Config) -> dict[str, SampleTable]:
    """Read and check the files."""
    return to_tables(read(config), config)


def write(annotated: Annotated, output: Output) -> dict[str, Any]:
    """A tar file for each split; the options that read them."""
    absent, rows = lists_of(annotated, "WebDataset")
    lists = {row.id: cells for row, cells in rows}
    for split, some in by_split(annotated).items():
        with tarfile.open(output.folder / f"{split or 'all'}-000000.tar", "w") as tar:
            for number, row in enumerate(some):
                about = json.dumps(lists[row.id] | {"id": row.id} | dict(row.extra), ensure_ascii=False, default=str).encode()
                ending = row.path.suffix.lower() or ".jpg"
                for name, content in ((f"{number:06}{ending}", row.path.read_bytes()), (f"{number:06}.json", about)):
                    member = tarfile.TarInfo(name)
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    return {"root": Path(), "absent": absent}
