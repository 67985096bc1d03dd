"""Settings (which labels are known) x metrics -> one report."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from ctran import metrics
from ctran.constraints import implications
from ctran.constraints.decode import Decoder, known_share_of
from ctran.data.coverage import Coverage
from ctran.data.loading import Batch
from ctran.evaluation.entries import Entries, SettingLogits
from ctran.evaluation.report import DECIDED, Report, Setting
from ctran.labels import LabelSpace, LabelState
from ctran.masking import EvalSetting, known_labels, reveal
from ctran.metrics import Table
from ctran.model import Features, Method
from ctran.progress import bar


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
) -> tuple[Int[Tensor, "N L"], list[SettingLogits]]:
    """Truth and outputs over all pictures in the order of the batches; the backbone runs once a picture."""
    truths: list[Tensor] = []
    found: list[list[SettingLogits]] = []
    for batch in batches:
        names = [str(ids[i]) for i in batch.index.tolist()]
        features = features_of(model, batch)
        outputs = ask(model, features, batch.truth, names, labels, settings, seed=seed, draws=draws)
        truths.append(batch.truth)
        found.append([replace(a, states=a.states.to(torch.int8)) for a in outputs])
    return torch.cat(truths), [_joined(parts) for parts in zip(*found, strict=True)]


def _joined(parts: Sequence[SettingLogits]) -> SettingLogits:
    """Concatenate the batches of one setting."""
    states, logits, shares = (torch.cat(each) for each in zip(*((p.states, p.logits, p.given) for p in parts), strict=True))
    sets = [part.chosen for part in parts if part.chosen is not None]
    return SettingLogits(parts[0].setting, states, logits, shares, torch.cat(sets) if sets else None)


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
    own, temperatures = list[Table](), list[float]()
    hidden, everything, num_known = list[Table](), list[Table](), list[float]()
    published: dict[str, list[Table]] = {p: [] for p in presets}
    targets = [g for g in labels.groups if g.exclusive and not set(g.labels) & set(labels.extra)]
    accuracy: dict[str, list[float]] = {g.name: [] for g in targets}
    first: tuple[Entries, list[tuple[float, int]]] | None = None
    for output in outputs:
        entries = Entries.of(truth, output, labels)
        limits = entries.thresholds
        table, rows = metrics.measure_all(entries.probabilities, entries.positive, entries.hidden & kept, threshold=limits)
        if not kept.all():  # labels left out of all means keep their rows
            every = metrics.per_label(entries.probabilities, entries.positive, entries.hidden)
            rows = [row if counts else other for row, other, counts in zip(rows, every, kept.tolist(), strict=True)]
        ranked = np.any(~entries.positive & entries.hidden, axis=0).tolist()  # without a negative every ranking is perfect
        rows = [(ap if both else float("nan"), n) for (ap, n), both in zip(rows, ranked, strict=True)]
        first = first or (entries, rows)
        hidden.append(table)
        none_known = np.array_equal(entries.hidden, entries.known)
        everything.append(
            table
            if none_known
            else metrics.measure(entries.probabilities, entries.positive, entries.known & kept, threshold=limits)
        )
        if decoder is not None and output.chosen is None:
            present = output.present(decoder).double().numpy()
            own.append(metrics.measure(present, entries.positive, entries.hidden & kept))
            temperatures.append(float(decoder.temperatures(output.states, known_share=output.given).mean()))
        num_known.append(float((output.states != LabelState.UNKNOWN).sum() / len(truth)))
        as_published = Entries.published(truth, output, labels) if presets else entries
        for preset in presets:
            published[preset].append(as_published.table(preset))
        for group in targets:
            at = labels.members(group).numpy()
            accuracy[group.name].append(metrics.group_accuracy(entries.decisions, entries.positive, entries.hidden, at))
    assert first is not None
    entries, per_label = first
    spread: dict[str, float] = {}
    if len(outputs) > 1:
        rows = [t.as_dict() for t in hidden]
        columns = {name: [r[name] for r in rows] for name in rows[0]} | accuracy
        spread = {name: _spread_known(values) for name, values in columns.items()}
    ends: dict[str, tuple[float, float]] = {}
    if intervals:
        with bar(f"intervals, {outputs[0].setting}", intervals) as step:  # a step a replicate
            ends = metrics.bootstrap(
                *(entries.probabilities, entries.positive, entries.hidden & kept),
                replicates=intervals,
                threshold=entries.thresholds,
                step=step,
            )
    return Setting(
        outputs[0].setting,
        _mean_table(hidden),
        _mean_table(everything),
        {n: r for n, r, t in zip(labels.names, per_label, labels.targets.tolist(), strict=True) if t},
        float(np.mean(num_known)),
        {name: _mean_known(values) for name, values in accuracy.items()},
        {name: _mean_table(tables) for name, tables in published.items()},
        len(outputs),
        spread,
        ends,
        {name: value for name, value in _mean_table(own).as_dict().items() if name in DECIDED} if own else {},
        float(np.mean(temperatures)) if temperatures else 1.0,
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
    has_positive, has_negative = ((truth == code).any(dim=0).tolist() for code in (LabelState.POSITIVE, LabelState.NEGATIVE))
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
