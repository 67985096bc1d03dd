"""Which kind of input a path or URL is."""

from collections.abc import Sequence
from itertools import islice

from ctran.collection import storage
from ctran.collection.inputs.folder import Folder, is_picture
from ctran.collection.inputs.parquet import Parquet
from ctran.collection.inputs.table import Table
from ctran.collection.inputs.webdataset import WebDataset
from ctran.collection.known_cells import Columns, KnownCells
from ctran.collection.options import Job, Kind
from ctran.collection.rows import Input
from ctran.collection.storage import File
from ctran.errors import UserError

KINDS: dict[str, Kind] = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".parquet": "parquet",
    ".tar": "webdataset",
    ".tar.gz": "webdataset",
    ".tgz": "webdataset",
}
"""Ending of a file -> kind of input."""
EXPECTED = (
    f"a folder of pictures, or of Parquet or tar files, a file that ends in {', '.join(KINDS)}, or a pattern of such files"
)
SHARDS: tuple[Kind, ...] = ("parquet", "webdataset")
"""Kinds of which a folder may hold many files."""
LOOKED_AT = 1000
"""Files of a folder after which it is taken for one of pictures, or refused."""


def find_input(job: Job, cells: KnownCells) -> Input:
    """The input of a job.

    Raises:
        UserError: it is not there, or of no kind that is read.
    """
    place, size = job.input, job.options.part_size
    if any(mark in storage.base_name(place) for mark in "*?["):
        files = storage.matching(place)
        if not files:
            raise UserError(f"--input {place}: no file matches")
        return _of_files(files, _kind_of(files, job), size, cells)
    found = storage.kind(place)
    if found is None:
        raise UserError(f"--input {place}: no such file or folder; expected {EXPECTED}")
    if found == "file":
        files = [storage.describe(place)]
        return _of_files(files, _kind_of(files, job), size, cells)
    wanted = job.kind if job.kind != "auto" else _kind_within(job)
    if wanted == "folder":
        if job.options.columns != Columns():
            raise UserError(f"--input {place}: a folder of pictures has no columns; leave the flags for columns of tables out")
        return Folder(place, size)
    return _of_files([file for file in storage.listing(place) if _kind(file) == wanted], wanted, size, cells)


def _kind_within(job: Job) -> Kind:
    """What a folder holds: pictures, or shards; a single table beside pictures is to be named itself."""
    kinds = {_kind(file) for file in islice(storage.listing(job.input), LOOKED_AT)}
    shards: list[Kind] = [kind for kind in SHARDS if kind in kinds]
    return "folder" if "folder" in kinds or not shards else _only(shards, job)


def _kind(file: File) -> Kind | None:
    """What a file is by its ending: a picture is ``folder``."""
    for ending, kind in KINDS.items():
        if file.name.lower().endswith(ending):
            return kind
    return "folder" if is_picture(file) else None


def _kind_of(files: Sequence[File], job: Job) -> Kind:
    """The one kind of files that a user named."""
    if job.kind not in ("auto", "folder"):
        return job.kind
    kinds: list[Kind] = []
    for file in files:
        kind = _kind(file)
        if kind is None or kind == "folder":
            raise UserError(
                f"--input {file.place}: expected {EXPECTED}; name the format of other tables with --input-format, and pictures "
                "without --input, or by their folder"
            )
        kinds.append(kind)
    return _only(kinds, job)


def _only(kinds: Sequence[Kind], job: Job) -> Kind:
    if len(set(kinds)) > 1:
        raise UserError(f"--input {job.input}: files of several kinds ({', '.join(sorted(set(kinds)))}); give --input-format")
    return kinds[0]


def _of_files(files: Sequence[File], kind: Kind, size: int, cells: KnownCells) -> Input:
    if kind == "webdataset":
        return WebDataset(files)
    return Parquet(files, size, cells) if kind == "parquet" else Table(files, size, cells, kind)
