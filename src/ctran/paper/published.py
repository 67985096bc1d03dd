"""The paper's tables as data, each doubtful figure with its reason (``published.yaml``)."""

from collections.abc import Iterator
from functools import cache
from importlib import resources

import msgspec

from ctran.errors import UserError
from ctran.labels import nearest


class Column(msgspec.Struct, frozen=True):
    """One column of a table: a figure of one data set in one setting.

    Args:
        block: title of its block.
        heading: text above it; with ``block`` it names the column.
        source: data set, a name of ``ctran.data.sources``.
        metric: a column of :class:`ctran.metrics.Table`, or ``accuracy``. In percent.
        known_share: share of the labels that are known, 0 to 1; None where groups are counted.
        known_groups: number of groups of extra labels that are known; None where labels are counted.
    """

    block: str
    heading: str
    source: str
    metric: str
    known_share: float | None = 0.0
    known_groups: int | None = None

    @property
    def name(self) -> str:
        """Unique in its table: ``Top 3 OF1``, ``VG-500 25 %``."""
        return f"{self.block} {self.heading}"


class Block(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Columns under one title: metrics of one setting, or settings of one metric.

    Args:
        title, source: of all its columns.
        metrics: see :class:`Column`.
        known_share: a setting each.
        known_groups: a setting each; where given, ``known_share`` is ignored.
    """

    title: str
    source: str
    metrics: tuple[str, ...]
    known_share: tuple[float, ...] = (0.0,)
    known_groups: tuple[int, ...] = ()

    def columns(self) -> Iterator[Column]:
        """From left to right."""
        settings: list[tuple[str, float | None, int | None]] = [(f"{100 * s:g} %", s, None) for s in self.known_share]
        if self.known_groups:
            settings = [(str(n), None, n) for n in self.known_groups]
        for metric in self.metrics:
            for setting, share, groups in settings:
                heading = setting if len(settings) > 1 else metric.removeprefix("top3_")
                yield Column(self.title, heading, self.source, metric, share, groups)


class Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why figures of a row are doubtful.

    Args:
        text: the reason.
        cells: names of the columns concerned; none means the row.
    """

    text: str
    cells: tuple[str, ...] = ()


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One system.

    Args:
        system: its name as printed.
        figures: percent, a list a block; None where the paper prints "-".
        reference: number in the paper's list of references; None for C-Tran itself.
        recipe: name of the shipped recipe that makes the row, or trains the system in its paper's setting; ``{source}`` stands
            for the data set. None where there is none.
        notes: doubts.
    """

    system: str
    figures: tuple[tuple[float | None, ...], ...]
    reference: int | None = None
    recipe: str | None = None
    notes: tuple[Note, ...] = ()

    @property
    def values(self) -> tuple[float | None, ...]:
        """Figures of all blocks, a column each."""
        return tuple(value for block in self.figures for value in block)


class PublishedTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One table.

    Args:
        title: its number and subject.
        blocks: from left to right.
        rows: from top to bottom.
        notes: what holds for the whole table.

    Raises:
        ValueError: a row of another width, or a note on a column that is not there.
    """

    title: str
    blocks: tuple[Block, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        widths = [len(list(block.columns())) for block in self.blocks]
        names = {column.name for column in self.columns}
        for row in self.rows:
            if (found := [len(figures) for figures in row.figures]) != widths:
                raise ValueError(f"{self.title}, row {row.system}: expected {widths} figures in its blocks, got {found}")
            if unknown := [cell for note in row.notes for cell in note.cells if cell not in names]:
                raise ValueError(f"{self.title}, row {row.system}: a note on column {unknown[0]!r}, which is not there")

    @property
    def columns(self) -> tuple[Column, ...]:
        """Of all blocks, from left to right."""
        return tuple(column for block in self.blocks for column in block.columns())


@cache
def tables() -> dict[str, PublishedTable]:
    """All tables: ``1`` to ``5`` of the paper, ``layers`` of its Section 4.4, ``voc2007`` of the authors' repository."""
    text = resources.files("ctran.paper").joinpath("published.yaml").read_bytes()
    return msgspec.yaml.decode(text, type=dict[str, PublishedTable])


def find(name: str) -> PublishedTable:
    """A table by name.

    Raises:
        ValueError: there is none of that name; the message lists them.
    """
    known = list(tables())
    if name not in known:
        raise UserError(f"no table {name!r}{nearest(name, known)} (there are: {', '.join(known)})")
    return tables()[name]
