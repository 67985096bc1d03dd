"""The figures of one output, block of pictures by block: memory does not grow with their number."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int
from torch import Tensor

from ctran import metrics
from ctran.constraints.decode import Decoder
from ctran.evaluation.entries import Entries, SettingLogits
from ctran.labels import LabelSpace, LabelState
from ctran.metrics import Columns, Counted, Ranked, Store, Table, count

BLOCK = 2**21
"""Entries (pictures times labels) of a block."""


@dataclass(frozen=True)
class Measured:
    """Figures of one output by our own definition; see :class:`ctran.evaluation.report.Setting`.

    Args:
        hidden, everything: tables.
        rows: AP in percent and number of counted positives a label; NaN without both kinds.
        num_known: mean number of known labels a picture.
        accuracy: of each exclusive group, in percent.
        own: the table with the model's own temperatures and thresholds, without AP; None where it has none.
        temperature: mean over the pictures.
    """

    hidden: Table
    everything: Table
    rows: list[tuple[float, int]]
    num_known: float
    accuracy: dict[str, float]
    own: Table | None
    temperature: float


def occurs(truth: Int[Tensor, "N L"]) -> Bool[np.ndarray, "3 L"]:
    """Whether each code occurs among the pictures, for each label."""
    size = max(1, BLOCK // max(1, truth.shape[1]))
    found = np.zeros((len(LabelState), truth.shape[1]), dtype=bool)
    for part in truth.split(size):
        for code in LabelState:
            found[code] |= (part == code).any(dim=0).cpu().numpy()
    return found


def blocks(truth: Int[Tensor, "N L"], output: SettingLogits) -> Iterator[tuple[Int[Tensor, "B L"], SettingLogits]]:
    """Truth and output of some pictures after the other."""
    size = max(1, BLOCK // max(1, truth.shape[1]))
    for start in range(0, len(truth), size):
        rows = slice(start, start + size)
        yield truth[rows], output.at(rows)


def _total(counts: Sequence[Counted]) -> Counted:
    return sum(counts[1:], start=counts[0])


def _rows(ranked: Ranked) -> list[tuple[float, int]]:
    """Of each label; without a negative every ranking is perfect."""
    both = ranked.counted > ranked.positive
    aps = np.where(both, 100 * np.where(np.isinf(ranked.aps), 1.0, ranked.aps), np.nan)
    return list(zip(aps.tolist(), ranked.positive.tolist(), strict=True))


def measured(
    truth: Int[Tensor, "N L"],
    output: SettingLogits,
    labels: LabelSpace,
    kept: Bool[np.ndarray, " L"],
    *,
    decoder: Decoder | None = None,
) -> Measured:
    """All figures of an output.

    Args:
        kept: labels that count in means; the others have their AP all the same.
        decoder: of the model, for its own thresholds; a method that chooses label sets has none.
    """
    targets = kept & labels.targets.numpy()
    groups = [g for g in labels.groups if g.exclusive and not set(g.labels) & set(labels.extra)]
    columns = Columns(len(truth), len(labels), Store())
    hidden, everything, own = list[Counted](), list[Counted](), list[Counted]()
    hits = {group.name: np.zeros(2, dtype=int) for group in groups}
    known, temperatures, decides = 0, 0.0, decoder is not None and output.chosen is None
    for codes, part in blocks(truth, output):
        entries = Entries.of(codes, part, labels)
        p, positive, open_ = entries.probabilities, entries.positive, entries.hidden & kept
        columns.add(p, positive, (entries.hidden, entries.known))
        hidden.append(count(p, positive, open_, targets, threshold=entries.thresholds))
        same = np.array_equal(entries.hidden, entries.known)
        every = hidden[-1] if same else count(p, positive, entries.known & kept, targets, threshold=entries.thresholds)
        everything.append(every)
        if decoder is not None and decides:
            own.append(count(part.present(decoder).double().numpy(), positive, open_, targets))
            temperatures += float(decoder.temperatures(part.states, known_share=part.given).sum())
        for group in groups:
            at = labels.members(group).numpy()
            hits[group.name] += metrics.group_hits(entries.decisions, positive, entries.hidden, at)
        known += int((part.states != LabelState.UNKNOWN).sum())
    definition = metrics.PRESETS["default"]
    ranked = columns.rank(0, definition)
    table = _total(hidden).table(ranked)
    none_known = all(one is other for one, other in zip(hidden, everything, strict=True))
    return Measured(
        table,
        table if none_known else _total(everything).table(columns.rank(1, definition)),
        _rows(ranked),
        known / len(truth),
        {name: 100 * right / counted if counted else float("nan") for name, (right, counted) in hits.items()},
        _total(own).table(None) if own else None,
        temperatures / len(truth) if decides else 1.0,
    )


def published(truth: Int[Tensor, "N L"], output: SettingLogits, labels: LabelSpace, presets: Sequence[str]) -> dict[str, Table]:
    """The table of each published preset."""
    if not presets:
        return {}
    found = occurs(truth)
    annotated = (found[LabelState.NEGATIVE] | found[LabelState.POSITIVE]) & labels.targets.numpy()
    columns = Columns(len(truth), len(labels), Store())
    counts: dict[str, list[Counted]] = {preset: [] for preset in presets}
    for codes, part in blocks(truth, output):
        entries = Entries.published(codes, part, labels)
        columns.add(entries.probabilities, entries.positive, (entries.hidden,))
        for preset in presets:
            counts[preset].append(entries.counted(metrics.PRESETS[preset], annotated))
    return {
        preset: _total(counts[preset]).table(columns.rank(0, metrics.PRESETS[preset]), metrics.PRESETS[preset])
        for preset in presets
    }
