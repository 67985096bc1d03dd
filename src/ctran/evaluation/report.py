"""Results of an evaluation: one :class:`Setting` a row, as plain data and as a Markdown table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from textwrap import fill
from typing import Any

import numpy as np

from ctran.constraints.calibration import Calibration
from ctran.data.coverage import Coverage
from ctran.masking import EvalSetting
from ctran.metrics import Table
from ctran.metrics.legend import legend

COLUMNS = tuple(each.name for each in fields(Table) if each.metadata.get("printed"))
"""Columns of :class:`~ctran.metrics.Table` in Markdown files; JSON has all."""
MAIN = tuple(each.name for each in fields(Table) if each.metadata.get("main"))
"""Columns on a terminal."""
BRIEF = ("mAP", "CF1", "OF1")
"""Columns on a terminal whose cells are intervals."""
WIDTH = 80
"""Characters of a line on a terminal."""

DECIDED = ("CP", "CR", "CF1", "OP", "OR", "OF1")
"""Columns that depend on thresholds."""
_BY_METHOD = "Labels are the sets that the method chooses by itself, without thresholds"
UNLISTED = (
    "Labels that are not listed count as absent here, although nobody checked them: where one is present, predicting it counts "
    "as wrong. So AP, precision and F1 read low, and recall is of listed labels; compare them between models on the same "
    "pictures alone."
)
"""What figures mean where the lists of what is present are incomplete (``data.absent: unlisted``)."""
PLAIN = "Thresholds of one half and temperature 1: the figures use no calibration"


@dataclass(frozen=True)
class Setting:
    """One row of a report; means over the draws where known labels were drawn several times.

    Args:
        setting: which labels were known.
        hidden: metrics over target labels that were unknown.
        everything: metrics over all target labels, known ones included (as the released code counts precision and recall).
        labels: AP in percent and number of counted positives a label, over the entries of ``hidden`` (of the first draw).
        num_known: number of known labels (with implied ones), mean over the pictures.
        accuracy: multi-class accuracy in percent of each exclusive group of targets.
        published: metrics by the definitions of published code, a preset of :data:`ctran.metrics.PRESETS` each.
        draws: how often known labels were drawn.
        spread: standard deviation over the draws, of the columns of ``hidden`` and of accuracies.
        intervals: 95 % bootstrap intervals over pictures, of columns of ``hidden`` (of the first draw).
        own: :data:`DECIDED` columns with the model's own temperatures and thresholds; empty where it has none.
        temperature: by which logits are divided for ``own``, mean over pictures and draws; all other figures use 1.
    """

    setting: EvalSetting
    hidden: Table
    everything: Table
    labels: dict[str, tuple[float, int]]
    num_known: float
    accuracy: dict[str, float] = field(default_factory=dict)
    published: dict[str, Table] = field(default_factory=dict)
    draws: int = 1
    spread: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    own: dict[str, float] = field(default_factory=dict)
    temperature: float = 1.0

    @property
    def key(self) -> str:
        """Short name for logs and curves: ``25``, ``10_groups``."""
        return str(self.setting).replace(" %", "").replace(",", "").replace(" ", "_")

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "setting": str(self.setting),
            "known_share": self.setting.share,
            "known_groups": self.setting.groups,
            "reveal": self.setting.reveal,
            "num_known": self.num_known,
            "draws": self.draws,
            "hidden": self.hidden.as_dict(),
            "everything": self.everything.as_dict(),
            "own_thresholds": self.own,
            "own_temperature": self.temperature,
            "published": {name: table.as_dict() for name, table in self.published.items()},
            "accuracy": self.accuracy,
            "spread": self.spread,
            "intervals": {name: list(ends) for name, ends in self.intervals.items()},
            "labels": {k: {"AP": ap, "positives": n} for k, (ap, n) in self.labels.items()},
        }


@dataclass(frozen=True)
class Report:
    """Metrics of one model on one table of pictures in several settings.

    Args:
        pictures: how many.
        settings: one a row.
        multi_class: every target label is in an exclusive group, so that :attr:`score` is the accuracy.
        split: of the table, where it is known.
        seed: of the first draw of known labels.
        coverage: which labels the means are over.
        calibration: the model's temperatures and thresholds, for :attr:`Setting.own`; None where there are none.
        unlisted: labels that are not listed counted as absent, although nobody checked them.
        by_method: :data:`DECIDED` columns are of label sets that the method chose (:meth:`ctran.model.Method.decode`).
    """

    pictures: int
    settings: tuple[Setting, ...]
    multi_class: bool = False
    split: str = ""
    seed: int = 0
    coverage: Coverage = field(default_factory=Coverage)
    calibration: Calibration | None = None
    by_method: bool = False
    unlisted: bool = False

    @property
    def score(self) -> float:
        """Model selection criterion: mAP over the unknown labels, averaged over the settings that have one (NaN: none has).

        For a purely multi-class task it is the accuracy, averaged over groups and settings.
        """
        values = [v for s in self.settings for v in (s.accuracy.values() if self.multi_class else [s.hidden.mAP])]
        found = [v for v in values if not np.isnan(v)]
        return float(np.mean(found)) if found else float("nan")

    @property
    def score_name(self) -> str:
        """Name of :attr:`score`: ``mAP``, or ``mAP (mean of known 0 %, 25 %)`` where it is a mean over settings."""
        kind = "accuracy" if self.multi_class else "mAP"
        known = ", ".join(str(s.setting) for s in self.settings)
        return kind if len(self.settings) == 1 else f"{kind} (mean of known {known})"

    @property
    def scores(self) -> dict[str, float]:
        """mAP of each setting (``val_mAP_25``) and, of a multi-class task, its accuracy, for logs and curves."""
        found = {f"val_mAP_{s.key}": s.hidden.mAP for s in self.settings}
        if self.multi_class:
            found |= {f"val_accuracy_{s.key}": float(np.mean(list(s.accuracy.values()))) for s in self.settings}
        return found

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON; undefined figures (NaN) are null."""
        rows = [s.as_dict() for s in self.settings]
        fitted = None if self.calibration is None else self.calibration.as_dict()
        decision = {
            "by_method": self.by_method,
            "threshold": None if self.by_method else 0.5,
            "temperature": 1.0,
            "own_thresholds": fitted is not None,
            "calibration": fitted,
        }
        about: dict[str, Any] = {"split": self.split, "pictures": self.pictures, "seed": self.seed}
        about["unlisted_count_as_absent"] = self.unlisted
        return no_nan({**about, "decision": decision, "coverage": self.coverage.as_dict(), "settings": rows})

    def _decided_by(self, calibration: Calibration) -> str:
        """Sentences on the temperatures and thresholds behind :attr:`Setting.own`."""
        temperatures = _listed([f"{s.temperature:.3g} at {s.setting} known" for s in self.settings])
        limits, count = sorted(calibration.thresholds.values()), len(self.settings[0].labels)
        own = f"{limits[0]:.2g} to {limits[-1]:.2g} for {len(limits)} labels (by {calibration.rule})" if limits else ""
        half = "one half for all labels" if not limits else "one half for the others" if len(limits) < count else ""
        return (
            f"Temperatures: {temperatures}. Thresholds: {_listed(list(filter(None, (own, half))))}; of an exclusive group the "
            "most probable label."
        )

    def text(self, *, everything: bool = False) -> str:
        """:meth:`markdown` of the main columns, in lines of :data:`WIDTH` characters, for a terminal."""
        parts = self.markdown(everything=everything, columns=MAIN, brief=BRIEF).split("\n\n")
        return "\n\n".join(part if part.startswith("|") else fill(part, WIDTH) for part in parts)

    def markdown(self, *, everything: bool = False, columns: Sequence[str] = COLUMNS, brief: Sequence[str] = COLUMNS) -> str:
        """A row a setting over the unknown labels (or all, with ``everything``); further tables for the other results.

        Args:
            columns: of :class:`~ctran.metrics.Table`, in this order.
            brief: those of the table of intervals.
        """
        tables = {str(s.setting): (s.everything if everything else s.hidden).as_dict() for s in self.settings}
        where = f", on the {self.pictures:,} pictures of {self.split}" if self.split else ""
        parts = [_markdown("known", columns, tables), f"In percent{where}. {legend(columns)}"]
        if self.calibration is not None:
            parts.append(f"{PLAIN} of the model. With its own temperatures and thresholds:")
            parts.append(_markdown("known", DECIDED, {str(s.setting): s.own for s in self.settings}))
            parts.append(self._decided_by(self.calibration))
        else:
            parts.append(f"{_BY_METHOD if self.by_method else PLAIN}.")
        if self.unlisted:
            parts.append(UNLISTED)
        if sentences := self.coverage.sentences():
            parts.append(sentences)
        groups = list(self.settings[0].accuracy)
        if groups:
            parts.append(_markdown("accuracy (%)", groups, {str(s.setting): s.accuracy for s in self.settings}))
            if not self.by_method:
                parts.append("Accuracy takes the most probable label of a group; precision, recall and F1 those from 50 % on.")
        for preset in self.settings[0].published:
            tables = {str(s.setting): s.published[preset].as_dict() for s in self.settings}
            parts.append(_markdown(f"as `{preset}` counts", columns, tables))
        if everything:  # spread and intervals are of the unknown labels
            return "\n\n".join(parts)
        if any(s.spread for s in self.settings):
            tables = {f"{s.setting}, {s.draws} draws": s.spread for s in self.settings if s.spread}
            parts.append(_markdown("spread over draws", [*columns, *groups], tables))
        if any(s.intervals for s in self.settings):
            names = [c for c in brief if c in self.settings[0].intervals]
            lows = {str(s.setting): {k: "{:.1f} to {:.1f}".format(*v) for k, v in s.intervals.items()} for s in self.settings}
            parts.append(_markdown("95 % interval over pictures", names, lows))
            parts.append(
                "AP reads high where positives are few. The intervals allow for it and may lie below the figure itself."
            )
        return "\n\n".join(parts)


def _listed(values: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, (", ".join(values[:-1]), *values[-1:])))


def _markdown(corner: str, columns: Sequence[str], rows: Mapping[str, Mapping[str, Any]]) -> str:
    """A Markdown table, its columns aligned: ``rows`` by name, numbers with one decimal."""
    lines = [[corner, *columns]]
    for name, cells in rows.items():
        values = (cells.get(c, float("nan")) for c in columns)
        lines.append([name, *(v if isinstance(v, str) else f"{v:.1f}" for v in values)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    first, *rest = (
        "| " + " | ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) + " |" for line in lines
    )
    rule = "|" + "|".join(f"{'-' * (width + 1)}{'-' if place == 0 else ':'}" for place, width in enumerate(widths)) + "|"
    return "\n".join([first, rule, *rest])


def no_nan(value: Any) -> Any:
    """Plain data in which numbers that JSON cannot hold (NaN, infinity) are None."""
    if isinstance(value, dict):
        return {k: no_nan(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [no_nan(v) for v in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
