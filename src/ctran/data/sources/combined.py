"""Several sources as one, each with its own labels: what a source does not annotate is unknown in its pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import yaml
from datasets import Dataset, concatenate_datasets

from ctran import registry
from ctran.data import reading, sources
from ctran.data.checked import digests
from ctran.data.file_table import FEATURES
from ctran.data.lists import Lists
from ctran.data.reading import OPTIONS, Reading
from ctran.data.splits import warn_of_same
from ctran.data.table import DataError, SampleTable
from ctran.errors import UserError, nearest
from ctran.labels import Group, LabelSpace, LabelState
from ctran.textfile import read_text

SUMMARY = "several sources in one training, each with its own labels, from a YAML file that lists them"


@dataclass(frozen=True)
class Config(Reading):
    """A YAML file that lists sources: a name for each, and below it ``source`` and the options of that source.

    Paths are relative to the file. ``annotates`` lists the labels that a source annotates, where its files hold others that
    it does not. The id of a picture is the name of its source, a slash and its id there. How pictures are read is stated
    here, for all sources.

    Args:
        root: the YAML file.
        only: names of the sources to read; all by default. With one, ``ctran evaluate`` measures a source apart.
    """

    root: Path
    only: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """One of the sources.

    Args:
        name: in the file.
        tables: what the source makes.
        annotates: its labels; all others are unknown in its pictures.
    """

    name: str
    tables: Mapping[str, SampleTable]
    annotates: tuple[str, ...]


def build(config: Config) -> dict[str, SampleTable]:
    """The pictures of all sources, over all labels.

    Raises:
        DataError: the file cannot be read, names no source or a wrong option, or the rules of two sources contradict.
    """
    parts = [_part(name, entry, config) for name, entry in _entries(config).items()]
    labels = _labels(parts)
    tables = {
        split: SampleTable(concatenate_datasets([_rows(part, split, labels) for part in parts]), labels, LabelState.UNKNOWN)
        for split in ("train", "val", "test")
    }
    broken = {split: tuple(one for part in parts for one in part.tables[split].broken) for split in tables}
    found = {split: replace(table, broken=broken[split]) for split, table in tables.items()}
    if len(parts) > 1:
        _warn_of_same(found)
    return found


def _entries(config: Config) -> dict[str, dict[str, Any]]:
    """Name -> entry of each source that is to be read."""
    if not config.root.is_file():
        raise DataError(f"{config.root}: not a file; give a YAML file that lists the sources as --data.root")
    try:
        found = yaml.load(read_text(config.root, DataError), yaml.BaseLoader)  # text, lists and mappings alone
    except (yaml.YAMLError, RecursionError) as error:
        raise DataError(f"{config.root}: not YAML: {str(error) or 'nested too deeply'}") from None
    if not isinstance(found, dict) or not found:
        raise DataError(f"{config.root}: expected a name for each source and its options below it, such as {_EXAMPLE}")
    for name, entry in found.items():
        if not isinstance(entry, dict) or not isinstance(entry.get("source"), str):
            raise DataError(f"{config.root}: {name} names no source; expected such as {_EXAMPLE}")
        if "/" in name or not name.strip():
            raise DataError(f"{config.root}: the name {name!r} of a source must be text without a slash")
    for name in config.only:
        if name not in found:
            raise DataError(
                f"data.only: {config.root} has no source {name!r}{nearest(name, found)} (it has: {', '.join(found)})"
            )
    return {name: entry for name, entry in found.items() if not config.only or name in config.only}


_EXAMPLE = "{photos: {source: imagefolder, root: photos, absent: negative}}"


def _part(name: str, entry: Mapping[str, Any], config: Config) -> Part:
    """One source, built."""
    where = f"{config.root}: {name}"
    given = {key: value for key, value in entry.items() if key not in ("source", "annotates")}
    if entry["source"] == "combined":
        raise DataError(f"{where}: a combined source cannot hold another; list its sources here")
    for key in given:
        if key in OPTIONS:
            raise DataError(f"{where}.{key}: how pictures are read is the same for all sources; give --data.{key}")
    try:
        source = registry.find(sources, entry["source"])
        made = _config(source.Config, given, config)
        tables = reading.apply(source.build(made), made)
    except msgspec.ValidationError as error:
        raise DataError(f"{where}: {error} (its options: ctran data {entry['source']})") from None
    except UserError as error:
        raise DataError(f"{where}: {error}") from None
    if tables["train"].unlisted:
        raise DataError(
            f"{where}.absent: unlisted is not known to combined sources, in which what a source does not annotate is unknown; "
            "give absent: negative, or unknown with negatives"
        )
    names = tables["train"].labels.names
    annotates = entry.get("annotates", list(names))
    if not isinstance(annotates, list) or not annotates or not all(isinstance(each, str) for each in annotates):
        raise DataError(f"{where}.annotates: expected a list of labels, got {annotates!r}")
    for each in annotates:
        if each not in names:
            raise DataError(f"{where}.annotates: the source has no label {each!r}{nearest(each, names)}")
    return Part(name, tables, tuple(n for n in names if n in annotates))


def _config(cls: Any, given: Mapping[str, Any], config: Config) -> Any:
    """The options of a source, of the types that it declares."""
    known = {field.name: field for field in fields(cls)}
    for key in given:
        if key not in known:
            own = [name for name in known if name not in OPTIONS]
            raise UserError(f"unknown option {key!r}{nearest(key, own)} (there are: {', '.join(own)})")
    if lacks := [n for n, f in known.items() if f.default is MISSING and f.default_factory is MISSING and n not in given]:
        raise UserError(f"option {lacks[0]!r} is missing")
    how = {name: getattr(config, name) for name in OPTIONS} if issubclass(cls, Reading) else {}
    stated = {name: value for name, value in given.items() if not (value == "null" and known[name].default is None)}
    typed = {name: value for name, value in how.items() if value is not None}
    return msgspec.convert({**stated, **typed}, cls, strict=False, dec_hook=lambda kind, value: _path(kind, value, config.root))


def _path(kind: type, value: Any, file: Path) -> Any:
    """A path, relative to the file."""
    if kind is not Path or not isinstance(value, str):
        raise NotImplementedError
    return file.parent / value


def _labels(parts: Sequence[Part]) -> LabelSpace:
    """All labels, and the rules of all sources."""
    groups: dict[str, Group] = {}
    extra: dict[str, tuple[bool, str]] = {}
    for part in parts:
        own = part.tables["train"].labels
        for group in own.groups:
            if set(group.labels) <= set(part.annotates) and groups.setdefault(group.name, group) != group:
                raise DataError(f"group {group.name!r} of {part.name} differs from the group of that name of another source")
        for name in part.annotates:
            state, other = extra.setdefault(name, (name in own.extra, part.name))
            if state != (name in own.extra):
                raise DataError(f"label {name!r} is an extra label in one of {other} and {part.name} and not in the other")
    names = tuple(dict.fromkeys(name for part in parts for name in part.annotates))
    pairs = [pair for part in parts for pair in part.tables["train"].labels.implications]
    implications = tuple(dict.fromkeys(pair for pair in pairs if set(pair) <= set(names)))
    return LabelSpace(names, tuple(n for n in names if extra[n][0]), tuple(groups.values()), implications)


def _rows(part: Part, split: str, labels: LabelSpace) -> Dataset:
    """The rows of a source with numbers of all labels; what it does not list is named where it is absent."""
    table = part.tables[split]
    own = set(part.annotates)
    number = {i: labels.index(name) for i, name in enumerate(table.labels.names) if name in own}
    yes, no = ([[number[i] for i in row if i in number] for row in _lists(each)] for each in table.listed)
    if table.absent == LabelState.NEGATIVE:
        everything = set(number.values())
        no = [sorted(everything.difference(row)) for row in yes]
    columns = {"id": [f"{part.name}/{each}" for each in table.ids], "positives": yes, "negatives": no}
    features = FEATURES.copy()
    images = table.rows.select_columns(["image"])
    del features["image"]
    return concatenate_datasets([images, Dataset.from_dict(columns, features=features)], axis=1)


def _lists(lists: Lists) -> list[list[int]]:
    """A list of label numbers for each row."""
    offsets, found = lists.offsets.tolist(), lists.labels.tolist()
    return [found[a:b] for a, b in pairwise(offsets)]


def _warn_of_same(tables: Mapping[str, SampleTable]) -> None:
    """Warn of pictures that are in two sources; their labels are not compared, as the sources have different ones."""
    names = [each for table in tables.values() for each in table.ids]
    splits = [split for split, table in tables.items() for _ in range(len(table))]
    warn_of_same(names, [each for table in tables.values() for each in digests(table)], [None] * len(names), splits)
