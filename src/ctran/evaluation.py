"""Settings (what the model is told) x metrics -> one report."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ctran import implications, metrics
from ctran.data.loading import Batch
from ctran.exclusive import probabilities
from ctran.labels import LabelSpace, LabelState
from ctran.masking import Evidence, counted, known_labels, tell
from ctran.metrics import Table
from ctran.model import Features, Method
from ctran.progress import bar
from ctran.report import Report, Setting


@dataclass(frozen=True)
class Answer:
    """What a model said of ``N`` pictures in one setting.

    Args:
        evidence: the setting.
        states: what it was told, :class:`~ctran.labels.LabelState` codes.
        logits: what it said.
    """

    evidence: Evidence
    states: Int[Tensor, "N L"]
    logits: Float[Tensor, "N L"]


def features_of(model: Method, batch: Batch) -> Features:
    """Image tokens of a batch: cached ones as they are, else from the backbone."""
    if batch.is_tokens:
        side = int(batch.inputs.shape[1] ** 0.5)
        return Features(batch.inputs, (side, batch.inputs.shape[1] // side))
    return model.encode_images(batch.images)


def ask(
    model: Method,
    features: Features,
    truth: Int[Tensor, "B L"],
    ids: Sequence[str],
    labels: LabelSpace,
    settings: Sequence[Evidence],
    *,
    seed: int = 0,
    draws: int = 1,
) -> Iterator[Answer]:
    """Answers for one batch, setting by setting, draw by draw (a setting in which nothing is drawn has one)."""
    scores, features = None, model.prepare(features)
    for evidence in settings:
        if evidence.reveal == "confident" and scores is None:
            scores = model.predict_labels(features, torch.zeros_like(truth))
        for draw in range(draws if evidence.is_drawn else 1):
            known = known_labels(evidence, truth, ids, labels, seed=seed + draw, scores=scores)
            states = implications.complete(tell(truth, known), labels.implied)
            yield Answer(evidence, states, model.predict_labels(features, states).float())


@torch.no_grad()
def predict(
    model: Method,
    batches: Iterable[Batch],
    ids: Sequence[str],
    labels: LabelSpace,
    settings: Sequence[Evidence],
    *,
    seed: int = 0,
    draws: int = 1,
) -> tuple[Int[Tensor, "N L"], list[Answer]]:
    """Truth and answers over all pictures in the order met; the backbone runs once a picture."""
    truths: list[Tensor] = []
    found: list[list[Answer]] = []
    for batch in batches:
        names = [str(ids[i]) for i in batch.index.tolist()]
        features = features_of(model, batch)
        answers = ask(model, features, batch.truth, names, labels, settings, seed=seed, draws=draws)
        truths.append(batch.truth)
        found.append([Answer(a.evidence, a.states.to(torch.int8), a.logits) for a in answers])
    return torch.cat(truths), [
        Answer(parts[0].evidence, torch.cat([p.states for p in parts]), torch.cat([p.logits for p in parts]))
        for parts in zip(*found, strict=True)
    ]


@dataclass(frozen=True)
class Entries:
    """One answer as the metrics take it, target labels only counted."""

    probabilities: Float[np.ndarray, "N L"]
    positive: Bool[np.ndarray, "N L"]
    hidden: Bool[np.ndarray, "N L"]
    known: Bool[np.ndarray, "N L"]

    @classmethod
    def of(cls, truth: Int[Tensor, "N L"], answer: Answer, labels: LabelSpace) -> "Entries":
        """Entries of target labels whose truth is known (``known``) and that were not told (``hidden``)."""
        targets = labels.targets.numpy()
        states = answer.states.to(truth.device)
        p = probabilities(answer.logits.double(), states, labels.exclusive)
        if len(labels.implied):  # published evaluators count told entries by what the model says of them
            p = torch.where(states == LabelState.UNKNOWN, implications.settled(p, states, labels), p)
        return cls(
            p.cpu().numpy(),
            (truth == LabelState.POSITIVE).cpu().numpy(),
            counted(truth, states).cpu().numpy() & targets,
            (truth != LabelState.UNKNOWN).cpu().numpy() & targets,
        )

    def table(self, preset: str) -> Table:
        """Metrics as a published preset counts."""
        definition = metrics.PRESETS[preset]
        return metrics.measure(self.probabilities, self.positive, self.hidden, definition=definition, everything=self.known)


def mean_table(tables: Sequence[Table]) -> Table:
    """Mean of each column over the tables that have it; NaN where none has."""
    rows = [t.as_dict() for t in tables]
    return Table(**{name: mean_known([r[name] for r in rows]) for name in rows[0]})


def mean_known(values: Sequence[float]) -> float:
    """Mean of those that are not NaN; NaN if all are."""
    known = [v for v in values if not np.isnan(v)]
    return float(np.mean(known)) if known else float("nan")


def spread_known(values: Sequence[float]) -> float:
    """Standard deviation of those that are not NaN; NaN for fewer than two."""
    known = [v for v in values if not np.isnan(v)]
    return float(np.std(known, ddof=1)) if len(known) > 1 else float("nan")


def setting_of(
    truth: Int[Tensor, "N L"],
    answers: Sequence[Answer],
    labels: LabelSpace,
    *,
    presets: Sequence[str] = (),
    intervals: int = 0,
) -> Setting:
    """One row of a report, from all draws of one setting. Arguments as in :func:`report`."""
    hidden, everything, told = list[Table](), list[Table](), list[float]()
    published: dict[str, list[Table]] = {p: [] for p in presets}
    targets = [g for g in labels.groups if g.exclusive and not set(g.labels) & set(labels.extra)]
    accuracy: dict[str, list[float]] = {g.name: [] for g in targets}
    first: tuple[Entries, list[tuple[float, int]]] | None = None
    for answer in answers:
        entries = Entries.of(truth, answer, labels)
        table, rows = metrics.measure_all(entries.probabilities, entries.positive, entries.hidden)
        first = first or (entries, rows)
        hidden.append(table)
        untold = np.array_equal(entries.hidden, entries.known)
        everything.append(table if untold else metrics.measure(entries.probabilities, entries.positive, entries.known))
        told.append(float((answer.states != LabelState.UNKNOWN).sum() / len(truth)))
        for preset in presets:
            published[preset].append(entries.table(preset))
        for group in targets:
            at = labels.members(group).numpy()
            accuracy[group.name].append(metrics.group_accuracy(entries.probabilities, entries.positive, entries.hidden, at))
    assert first is not None
    entries, per_label = first
    spread: dict[str, float] = {}
    if len(answers) > 1:
        rows = [t.as_dict() for t in hidden]
        columns = {name: [r[name] for r in rows] for name in rows[0]} | accuracy
        spread = {name: spread_known(values) for name, values in columns.items()}
    ends: dict[str, tuple[float, float]] = {}
    if intervals:
        with bar(f"intervals, {answers[0].evidence}", intervals) as step:  # a step a replicate
            ends = metrics.bootstrap(entries.probabilities, entries.positive, entries.hidden, replicates=intervals, step=step)
    return Setting(
        answers[0].evidence,
        mean_table(hidden),
        mean_table(everything),
        {n: r for n, r, t in zip(labels.names, per_label, labels.targets.tolist(), strict=True) if t},
        float(np.mean(told)),
        {name: mean_known(values) for name, values in accuracy.items()},
        {name: mean_table(tables) for name, tables in published.items()},
        len(answers),
        spread,
        ends,
    )


def report(
    truth: Int[Tensor, "N L"],
    answers: Sequence[Answer],
    labels: LabelSpace,
    *,
    presets: Sequence[str] = (),
    intervals: int = 0,
) -> Report:
    """Metrics from what :func:`predict` returns.

    Args:
        presets: published definitions to count by as well, names of :data:`ctran.metrics.PRESETS`.
        intervals: replicates of the bootstrap over pictures; 0 gives no intervals.
    """
    draws: dict[Evidence, list[Answer]] = {}
    for answer in answers:
        draws.setdefault(answer.evidence, []).append(answer)
    settings = [setting_of(truth, found, labels, presets=presets, intervals=intervals) for found in draws.values()]
    in_groups = torch.zeros(len(labels), dtype=torch.bool)
    for members in labels.exclusive:
        in_groups[members] = True
    return Report(len(truth), tuple(settings), bool(in_groups[labels.targets].all()))
