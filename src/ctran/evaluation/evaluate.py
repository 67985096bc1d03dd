"""Settings (which labels are known) x metrics -> one report."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from ctran import metrics
from ctran.constraints import implications
from ctran.constraints.decode import Decoder, known_share_of
from ctran.data.coverage import Coverage
from ctran.data.loading import Batch
from ctran.data.truth import SparseTruth
from ctran.errors import UserError
from ctran.evaluation.entries import Entries, SettingLogits
from ctran.evaluation.measured import measured, occurs, published
from ctran.evaluation.report import DECIDED, Report, Setting
from ctran.labels import LabelSpace, LabelState
from ctran.masking import EvalSetting, known_labels, reveal
from ctran.metrics import Store, Table
from ctran.model import Features, Method
from ctran.progress import bar

MOST_ENTRIES = 2**28
"""Entries (pictures times labels) of which intervals are computed: the bootstrap holds 30 bytes of each."""


def features_of(model: Method, batch: Batch) -> Features:
    """Image features of a batch: cached ones as they are, else from the backbone."""
    return batch.inputs if isinstance(batch.inputs, Features) else model.encode_images(batch.images)


def ask(
    model: Method,
    features: Features,
    truth: Int[Tensor, "B L"],
    ids: Sequence[str],
    labels: LabelSpace,
    settings: Sequence[EvalSetting],
    *,
    seed: int = 0,
    draws: int = 1,
) -> Iterator[SettingLogits]:
    """Logits of one batch, and the label sets of a method that chooses them by itself, setting by setting, draw by draw (one
    where nothing is drawn)."""
    scores, features = None, model.prepare(features)
    for setting in settings:
        if setting.reveal == "confident" and scores is None:
            scores = model.predict_labels(features, torch.zeros_like(truth))
        for draw in range(draws if setting.is_drawn else 1):
            known = known_labels(setting, truth, ids, labels, seed=seed + draw, scores=scores)
            given = reveal(truth, known)
            states = implications.propagate_implications(given, labels.implied)
            logits = model.predict_labels(features, states).float()
            yield SettingLogits(setting, states, logits, known_share_of(given), model.decode(features, states))


@torch.no_grad()
def predict(
    model: Method,
    batches: Iterable[Batch],
    ids: Sequence[str],
    labels: LabelSpace,
    settings: Sequence[EvalSetting],
    *,
    seed: int = 0,
    draws: int = 1,
    assumed: SparseTruth | None = None,
) -> tuple[Int[Tensor, "N L"], list[SettingLogits]]:
    """Truth and outputs over all pictures in the order of the batches, on the CPU; the backbone runs once a picture.

    What exceeds :data:`ctran.metrics.store.IN_MEMORY` is in temporary files, as long as it is used.

    Args:
        assumed: the truth that is returned, where it is more than what labels may be known of
            (:meth:`ctran.data.table.SampleTable.assumed_for`); None: that of the batches.
    """
    store, shape, done = Store(), (len(ids), len(labels)), 0
    truths = torch.from_numpy(store.empty(shape, np.int8))
    found: list[SettingLogits] = []
    for batch in batches:
        names = [str(ids[i]) for i in batch.index.tolist()]
        features = features_of(model, batch)
        outputs = list(ask(model, features, batch.truth, names, labels, settings, seed=seed, draws=draws))
        found = found or [_empty_like(output, shape, store) for output in outputs]
        rows = slice(done, done + len(names))
        truths[rows] = batch.truth if assumed is None else assumed.rows(batch.index.cpu())
        for whole, output in zip(found, outputs, strict=True):
            for place, part in zip(whole.tensors, output.tensors, strict=True):
                place[rows] = part
        done = rows.stop
    return truths[:done], [output.at(slice(done)) for output in found]


def _empty_like(output: SettingLogits, shape: tuple[int, int], store: Store) -> SettingLogits:
    """Room for the outputs of all pictures, beside those of a batch."""
    chosen = None if output.chosen is None else torch.from_numpy(store.empty(shape, np.bool_))
    states, logits = (torch.from_numpy(store.empty(shape, dtype)) for dtype in (np.int8, np.float32))
    return SettingLogits(output.setting, states, logits, torch.empty(shape[0]), chosen)


def _mean_table(tables: Sequence[Table]) -> Table:
    """Mean of each column over the tables that have it; NaN where none has."""
    rows = [t.as_dict() for t in tables]
    return Table(**{name: _mean_known([r[name] for r in rows]) for name in rows[0]})


def _mean_known(values: Sequence[float]) -> float:
    """Mean of those that are not NaN; NaN if all are."""
    known = [v for v in values if not np.isnan(v)]
    return float(np.mean(known)) if known else float("nan")


def _spread_known(values: Sequence[float]) -> float:
    """Standard deviation of those that are not NaN; NaN for fewer than two."""
    known = [v for v in values if not np.isnan(v)]
    return float(np.std(known, ddof=1)) if len(known) > 1 else float("nan")


def _setting_of(
    truth: Int[Tensor, "N L"],
    outputs: Sequence[SettingLogits],
    labels: LabelSpace,
    *,
    presets: Sequence[str] = (),
    intervals: int = 0,
    left_out: Collection[str] = (),
    decoder: Decoder | None = None,
) -> Setting:
    """One row of a report, from all draws of one setting. Arguments as in :func:`report`."""
    kept = np.array([name not in left_out for name in labels.names])
    found = [measured(truth, output, labels, kept, decoder=decoder) for output in outputs]
    tables = [published(truth, output, labels, presets) for output in outputs]
    hidden = [each.hidden for each in found]
    accuracy = {name: [each.accuracy[name] for each in found] for name in found[0].accuracy}
    own = [each.own for each in found if each.own is not None]
    spread: dict[str, float] = {}
    if len(outputs) > 1:
        rows = [t.as_dict() for t in hidden]
        columns = {name: [r[name] for r in rows] for name in rows[0]} | accuracy
        spread = {name: _spread_known(values) for name, values in columns.items()}
    return Setting(
        outputs[0].setting,
        _mean_table(hidden),
        _mean_table([each.everything for each in found]),
        {n: r for n, r, t in zip(labels.names, found[0].rows, labels.targets.tolist(), strict=True) if t},
        float(np.mean([each.num_known for each in found])),
        {name: _mean_known(values) for name, values in accuracy.items()},
        {name: _mean_table([each[name] for each in tables]) for name in presets},
        len(outputs),
        spread,
        _intervals(truth, outputs[0], labels, kept, intervals) if intervals else {},
        {name: value for name, value in _mean_table(own).as_dict().items() if name in DECIDED} if own else {},
        float(np.mean([each.temperature for each in found])),
    )


def _intervals(
    truth: Int[Tensor, "N L"], output: SettingLogits, labels: LabelSpace, kept: Bool[np.ndarray, " L"], replicates: int
) -> dict[str, tuple[float, float]]:
    """Bootstrap intervals of an output; they need all of its probabilities in memory.

    Raises:
        UserError: they are too many.
    """
    if truth.numel() > MOST_ENTRIES:
        raise UserError(
            f"intervals of {len(truth):,} pictures and {len(labels):,} labels need too much memory (at most {MOST_ENTRIES:,} "
            "entries are resampled); so many pictures make them narrow: leave them out"
        )
    entries = Entries.of(truth, output, labels)
    with bar(f"intervals, {output.setting}", replicates) as step:  # a step a replicate
        return metrics.bootstrap(
            *(entries.probabilities, entries.positive, entries.hidden & kept),
            replicates=replicates,
            threshold=entries.thresholds,
            step=step,
        )


def report(
    truth: Int[Tensor, "N L"],
    outputs: Sequence[SettingLogits],
    labels: LabelSpace,
    *,
    presets: Sequence[str] = (),
    intervals: int = 0,
    left_out: Mapping[str, Collection[str]] | None = None,
    decoder: Decoder | None = None,
) -> Report:
    """Metrics from what :func:`predict` returns.

    Args:
        presets: published definitions to report as well, names of :data:`ctran.metrics.PRESETS`.
        intervals: replicates of the bootstrap over pictures; 0 gives no intervals.
        left_out: reason -> names of labels left out of all means but those of the published definitions.
        decoder: of the model; adds precision, recall and F1 with its temperatures and thresholds. None where it has none.
    """
    draws: dict[EvalSetting, list[SettingLogits]] = {}
    for output in outputs:
        draws.setdefault(output.setting, []).append(output)
    reasons = {name: reason for reason, names in (left_out or {}).items() for name in names}
    options: dict[str, Any] = {"presets": presets, "intervals": intervals, "left_out": reasons, "decoder": decoder}
    settings = [_setting_of(truth, found, labels, **options) for found in draws.values()]
    in_groups = torch.zeros(len(labels), dtype=torch.bool)
    for members in labels.exclusive:
        in_groups[members] = True
    coverage = _coverage_of(truth, settings[0], labels, reasons)
    by_method = any(output.chosen is not None for output in outputs)
    return Report(
        *(len(truth), tuple(settings), bool(in_groups[labels.targets].all())),
        coverage=coverage,
        calibration=None if decoder is None or by_method else decoder.calibration,
        by_method=by_method,
    )


def _coverage_of(truth: Int[Tensor, "N L"], setting: Setting, labels: LabelSpace, reasons: Mapping[str, str]) -> Coverage:
    """Which labels the mean AP of a setting covers, and why others are left out.

    Args:
        reasons: of labels left out of all means, by name.
    """
    measured, left_out = 0, {reason: list[str]() for reason in dict.fromkeys(reasons.values())}
    found = occurs(truth)
    has_positive, has_negative = found[LabelState.POSITIVE].tolist(), found[LabelState.NEGATIVE].tolist()
    for i, name in enumerate(labels.names):
        if not labels.targets[i]:
            continue
        if name in reasons:
            left_out[reasons[name]].append(name)
        elif not np.isnan(setting.labels[name][0]):
            measured += 1
        else:
            what = "never present" if has_negative[i] else "never absent" if has_positive[i] else "not annotated"
            what = (
                "both kinds are known in no picture that counts"
                if has_positive[i] and has_negative[i]
                else f"{what} in these pictures"
            )
            left_out.setdefault(what, []).append(name)
    found = {reason: tuple(names) for reason, names in left_out.items() if names}
    return Coverage(int(labels.targets.sum()), measured, found)
