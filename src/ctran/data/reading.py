"""How pictures are read: the same options for all sources, applied in one place."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from ctran.bounds import check_bounds, within
from ctran.data.checked import check
from ctran.data.notices import few, warn
from ctran.data.picture_digest import FEW
from ctran.data.table import Broken, DataError, SampleTable
from ctran.images.reading import BrokenImageError, Truncated, open_image
from ctran.progress import track


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Options of every source whose pictures are files.

    Args:
        skip_broken: leave out pictures that cannot be read; the run folder lists them. Each picture is then decoded once at the
            start; the result is cached.
        truncated: what happens to a file that ends early. ``refuse``: it is broken. ``read``: the part that is there is read,
            as the released C-Tran code does (the rest is grey or black).
        white: the value that is white in grey or colours of more than 8 bits, such as 4095 for 12 bits stored in 16; without it
            what the file states, else the greatest value of its type.
    """

    CHECKED: ClassVar[bool] = False
    """Whether the source's reader itself leaves out what cannot be read."""

    skip_broken: bool = False
    truncated: Truncated = "refuse"
    white: float | None = within(None, 0, above=True)

    def __post_init__(self) -> None:
        check_bounds(self, "data")


OPTIONS = frozenset(Reading.__dataclass_fields__)
"""Names of these options, which do not change a source's annotations."""


@contextmanager
def naming(config: Any) -> Iterator[None]:
    """Errors of an annotation name its folder or file, where they name nothing that is in it.

    Args:
        config: of the source.
    """
    root = getattr(config, "root", None)
    try:
        yield
    except DataError as error:
        if not isinstance(root, Path) or str(root) in str(error):
            raise
        raise type(error)(f"{root}: {error}") from None
    except OSError as error:
        if error.filename is None and isinstance(root, Path):
            error.filename = str(root)
        raise


def build(source: ModuleType, config: Any) -> dict[str, SampleTable]:
    """The tables of a source.

    Raises:
        DataError: the annotation or a picture cannot be used; the message names the file or folder.
    """
    with naming(config):
        return source.build(config)


def apply(tables: Mapping[str, SampleTable], config: Any) -> dict[str, SampleTable]:
    """Tables that read pictures by a source's options; with ``skip_broken``, without those that cannot be read.

    A table under two names (``select_on: test``) stays one.

    Raises:
        DataError: no picture of a split can be read.
    """
    if not isinstance(config, Reading):
        return dict(tables)
    done: dict[int, SampleTable] = {}
    for split, table in tables.items():
        if id(table) not in done:
            read = replace(table, truncated=config.truncated, white=config.white)
            done[id(table)] = _usable(read, split) if config.skip_broken and not config.CHECKED else read
    return {split: done[id(table)] for split, table in tables.items()}


def _usable(table: SampleTable, split: str) -> SampleTable:
    """A table without the pictures that cannot be read; ``broken`` lists them."""
    broken = {i: reason for i, reason in enumerate(_reasons(table)) if reason}
    if not broken:
        return table
    if len(broken) == len(table):
        raise DataError(f"no picture of split {split!r} can be read: {next(iter(broken.values()))}")
    names = few(table.ids[i] for i in broken)
    warn(f"{len(broken):,} of {len(table):,} pictures of split {split!r} cannot be read and are left out: {names}")
    left_out = tuple(Broken(f"picture {table.ids[i]!r}", reason) for i, reason in broken.items())
    usable = table.select([i for i in range(len(table)) if i not in broken])
    return replace(usable, broken=(*table.broken, *left_out))


def _reasons(table: SampleTable) -> Sequence[str]:
    """Why each picture cannot be read; empty where it can."""
    cells = [cell for start in range(0, len(table), FEW) for cell in _cells(table, start)]
    paths = [cell["path"] for cell in cells]
    if all(cell["bytes"] is None for cell in cells):
        return [one.reason for one in check([Path(p) for p in paths], truncated=table.truncated, white=table.white)]

    def reason(number: int) -> str:
        try:
            open_image(table.content(number), truncated=table.truncated, white=table.white)
        except (BrokenImageError, OSError) as error:
            return str(error)
        return ""

    with ThreadPoolExecutor() as pool:
        return list(track(pool.map(reason, range(len(table))), "checking pictures", len(table)))


def _cells(table: SampleTable, start: int) -> list[dict[str, Any]]:
    """Path of some pictures, and whether their bytes are in the table."""
    cells = table.rows[start : start + FEW]["image"]
    return [{"path": cell["path"], "bytes": None if cell["bytes"] is None else b""} for cell in cells]
