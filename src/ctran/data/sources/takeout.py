"""Google Photos in a Takeout: the people of each picture, and the albums that it is in."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from msgspec import Struct, field

from ctran.data.notices import notice
from ctran.data.readers.annotations import to_tables
from ctran.data.readers.found import listing
from ctran.data.readers.listed import ListedConfig, read_json
from ctran.data.rows import Annotated, Row, Says
from ctran.data.table import DataError, SampleTable
from ctran.errors import UserError
from ctran.images.formats import endings

SUMMARY = "Google Photos in a Takeout: people and albums of each picture, from the .json beside it"
SAYS = Says.LISTED
SPLITS = False


@dataclass(frozen=True, kw_only=True)
class Config(ListedConfig):
    """The folder "Google Photos" of a Takeout. A picture that lies in several albums is one picture.

    Args:
        root: the folder.
        people: whether the names of people are labels.
        albums: whether the titles of albums are labels.
    """

    people: bool = True
    albums: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.people and not self.albums:
            raise UserError("data.people and data.albums are both false, so there is no label")


class _Person(Struct):
    name: str = ""


class _Time(Struct):
    timestamp: str = ""


class _About(Struct):
    title: str = ""
    people: list[_Person] = field(default_factory=list)
    photoTakenTime: _Time | None = None


def read(config: Config) -> Annotated:
    """The pictures of all albums and years."""
    files = sorted(path for path in config.root.rglob("*.json") if path.is_file())
    if not files:
        raise DataError(f"{config.root}: no .json file in it or below; give the folder Google Photos as --data.root")
    found = {path: read_json(path, _About, "what Google Photos writes of a picture") for path in files}
    albums = {path.parent: about.title.strip() for path, about in found.items() if about.photoTakenTime is None}
    listing.cache_clear()
    rows: dict[tuple[str, str], Row] = {}
    without = 0
    for path, about in found.items():
        if about.photoTakenTime is None:
            continue
        if (picture := _picture(path, about.title)) is None:
            without += 1
            continue
        people = [person.name.strip() for person in about.people] if config.people else []
        names = [*people, albums.get(path.parent, "") if config.albums else ""]
        row = Row(str(path), picture, picture.relative_to(config.root).as_posix(), tuple(dict.fromkeys(n for n in names if n)))
        same = rows.setdefault((about.title, about.photoTakenTime.timestamp), row)
        rows[about.title, about.photoTakenTime.timestamp] = replace(
            same, positives=tuple(dict.fromkeys((*same.positives, *row.positives)))
        )
    if without:
        notice(f"{config.root}: {without:,} .json files without a picture beside them (videos, other parts) are left out")
    if not rows:
        raise DataError(f"{config.root}: no picture beside a .json file in it or below")
    return Annotated(list(rows.values()), config.absent)


def _picture(path: Path, title: str) -> Path | None:
    """The picture that a file is about: ``a.jpg.json``, ``a.jpg.supplemental-metadata.json``, ``a.jpg(1).json``, cut names."""
    names = set(listing(path.parent).names)
    for name in _names(path.name, title):
        if name in names and Path(name).suffix.lower() in endings():
            return path.parent / name
    cut = re.sub(r"\.[a-z-]*$", "", path.stem) if ".supp" in path.stem else path.stem
    longer = [name for name in names if name.startswith(cut) and Path(name).suffix.lower() in endings()]
    return path.parent / longer[0] if len(path.stem) >= 40 and len(longer) == 1 else None


def _names(name: str, title: str) -> Iterator[str]:
    stem = re.sub(r"\.supplemental-metadata(\(\d+\))?$", r"\1", name.removesuffix(".json"))
    if numbered := re.fullmatch(r"(.*)(\.\w+)(\(\d+\))", stem):
        yield f"{numbered[1]}{numbered[3]}{numbered[2]}"
    else:
        yield stem
        yield title


def build(config: Config) -> dict[str, SampleTable]:
    """Read and check the folder."""
    return to_tables(read(config), config)
