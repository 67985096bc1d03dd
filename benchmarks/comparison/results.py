"""The file of raw rows: read, added to, and written after every row."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ctran.analysis.compare import Comparison, Row, row_from, with_nan
from ctran.errors import UserError
from ctran.evaluation.report import no_nan
from ctran.files import write_text

DECIMALS = 2
"""Of the resampled figures, which are percentages."""


@dataclass(frozen=True)
class Trial:
    """A training with seed 0 whose score on ``val`` chooses the learning rate.

    Args:
        score: best mAP on ``val`` of all epochs, mean over the known shares.
        seconds: of processor time; None where it was not measured.
    """

    entry: str
    rate: float
    score: float
    seconds: float | None


@dataclass(frozen=True)
class Measured:
    """A row, and how the method was trained.

    Args:
        row: its ``method`` is the name of the entry.
        flags: options of the entry.
        rate: learning rate that was chosen; None where none was tried.
    """

    row: Row
    flags: Sequence[str]
    rate: float | None


@dataclass(frozen=True)
class Excess:
    """Log-loss above that of the exact posterior, in nats a label that is not known, at each known share.

    Args:
        entry: name of an entry, or of a reference that is computed from the world.
        seed: of the training; None for a reference.
        flags: options of the entry.
    """

    entry: str
    seed: int | None
    values: Sequence[float]
    flags: Sequence[str] = ()


@dataclass
class Results:
    """All that is known so far.

    Args:
        about: what all rows share, by table.
        settings: names of the known shares and their percentage.
    """

    about: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    settings: Mapping[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    trials: list[Trial] = field(default_factory=list)
    rows: list[Measured] = field(default_factory=list)
    planted: list[Excess] = field(default_factory=list)

    def check(self, table: str, about: Mapping[str, str], settings: Mapping[str, float]) -> None:
        """Refuse rows of another recipe or of other pictures.

        Raises:
            UserError: names what differs.
        """
        if (then := self.about.get(table)) is not None:
            now = {key: str(value) for key, value in about.items()}
            if other := sorted(key for key in {**then, **now} if then.get(key) != now.get(key)):
                changes = ", ".join(f"{key} (was {then.get(key, 'not set')})" for key in other)
                raise UserError(
                    f"the rows of table {table} were measured with other settings: {changes}; name another --output"
                )
        self.about = {**self.about, table: about}
        self.settings = settings

    def score(self, entry: str, rate: float) -> Trial | None:
        """A trial that was made."""
        return next((each for each in self.trials if (each.entry, each.rate) == (entry, rate)), None)

    def chosen(self, entry: str) -> float | None:
        """The rate with the best score on ``val``, the smaller of equal ones; None where none was tried."""
        found = [each for each in self.trials if each.entry == entry]
        return max(found, key=lambda trial: (trial.score, -trial.rate)).rate if found else None

    def has(self, entry: str, seed: int, flags: Sequence[str]) -> bool:
        """Whether the row is measured, with these options."""
        return any((m.row.method, m.row.seed, list(m.flags)) == (entry, seed, list(flags)) for m in self.rows)

    def has_excess(self, entry: str, seed: int | None) -> bool:
        """Whether the row of the planted world is measured."""
        return any((each.entry, each.seed) == (entry, seed) for each in self.planted)

    def comparison(self, entries: Sequence[str]) -> Comparison:
        """The rows of some entries."""
        rows = [each.row for each in self.rows if each.row.method in entries]
        return Comparison(self.about.get("clipart", {}), self.settings, rows, self.left_out)

    def save(self, path: Path) -> None:
        """Write as JSON, a line for each row, in one step."""
        parts = []
        for name, value in _plain(self).items():
            if isinstance(value, list):
                lines = ",\n".join(f"  {json.dumps(each, allow_nan=False)}" for each in value)
                parts.append(f' "{name}": [\n{lines}\n ]' if value else f' "{name}": []')
            else:
                parts.append(f' "{name}": {json.dumps(value, allow_nan=False)}')
        write_text(path, "{\n" + ",\n".join(parts) + "\n}\n")


def _plain(results: Results) -> dict[str, Any]:
    found = asdict(results)
    for each in found["rows"]:
        row = each["row"]
        row["resampled"] = [[round(value, DECIMALS) for value in values] for values in row["resampled"]]
    return no_nan(found)


def read(path: Path) -> Results:
    """Results so far; none where there is no file."""
    if not path.exists():
        return Results()
    found = with_nan(json.loads(path.read_text(encoding="utf-8")))
    rows = [Measured(row_from(each["row"]), each["flags"], _none(each["rate"])) for each in found["rows"]]
    trials = [Trial(**{**each, "seconds": _none(each["seconds"])}) for each in found["trials"]]
    planted = [Excess(**{**each, "seed": None if each["seed"] != each["seed"] else each["seed"]}) for each in found["planted"]]
    return Results(found["about"], found["settings"], found["left_out"], trials, rows, planted)


def _none(value: float) -> float | None:
    """NaN as None."""
    return None if value != value else value
