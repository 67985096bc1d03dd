"""Fit temperatures and thresholds of a model on one table, and say on another what they are worth."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ctran import metrics
from ctran.data.loading import PictureSet, loader
from ctran.data.table import SampleTable
from ctran.evaluation import Answer, predict
from ctran.exclusive import probabilities
from ctran.implications import settled
from ctran.inference.calibration import Calibration, expected_calibration_error, fit_temperature, fit_thresholds
from ctran.inference.tagger import Tagger
from ctran.labels import LabelSpace, LabelState
from ctran.masking import Evidence, counted
from ctran.progress import track

BATCH = 32


@dataclass(frozen=True)
class Quality:
    """What a calibration is worth at one share of known labels.

    Args:
        known_share: of the labels, 0 to 1.
        temperature: that logits are divided by there.
        ece_before, ece_after: expected calibration error of single labels, 0 to 1.
        CF1_half, OF1_half: in percent, from one half on, as the paper counts.
        CF1_own, OF1_own: with the fitted thresholds, on calibrated probabilities.
    """

    known_share: float
    temperature: float
    ece_before: float
    ece_after: float
    CF1_half: float
    CF1_own: float
    OF1_half: float
    OF1_own: float


def answers(
    tagger: Tagger, table: SampleTable, shares: Sequence[float], seed: int, name: str
) -> tuple[Int[Tensor, "N L"], list[Answer]]:
    """Truth, and what the model says at each share of known labels."""
    pictures = PictureSet(table, tagger.labels, tagger.preprocessing)
    batches = loader(pictures, batch_size=BATCH)
    shown = track((batch.to(tagger.device) for batch in batches), f"asking about {name}", -(-len(table) // BATCH))
    truth, found = predict(tagger.model, shown, table.ids, tagger.labels, [Evidence(share) for share in shares], seed=seed)
    return truth.cpu(), [Answer(a.evidence, a.states.long().cpu(), a.logits.cpu()) for a in found]


def fit_calibration(
    truth: Int[Tensor, "N L"], found: Sequence[Answer], labels: LabelSpace, *, precision: float | None = None
) -> Calibration:
    """A temperature a share, then a threshold a label on the calibrated probabilities of all shares together.

    Args:
        truth, found: of :func:`answers`, on ``val``.
        precision: wanted precision of each label's threshold; None maximises its F1.
    """
    temperatures = [fit_temperature(a.logits, truth, a.states, labels.exclusive) for a in found]
    p, hits, counts = (
        np.concatenate(parts)
        for parts in zip(*(entries(truth, a, labels, t) for a, t in zip(found, temperatures, strict=True)), strict=True)
    )
    fitted = fit_thresholds(p, hits, counts, precision=precision)
    one_of = {name for group in labels.groups if group.exclusive for name in group.labels}
    chosen = {n: t for n, t in zip(labels.names, fitted, strict=True) if t is not None and n not in one_of}
    rule = "greatest F1" if precision is None else f"precision of at least {precision:g}"
    return Calibration(tuple(a.evidence.share for a in found), tuple(temperatures), chosen, rule)


def entries(
    truth: Int[Tensor, "N L"], answer: Answer, labels: LabelSpace, temperature: float
) -> tuple[Float[np.ndarray, "N L"], Bool[np.ndarray, "N L"], Bool[np.ndarray, "N L"]]:
    """Probabilities, which are positive, and which count: hidden target labels that somebody looked for."""
    p = settled(probabilities(answer.logits.double() / temperature, answer.states, labels.exclusive), answer.states, labels)
    return p.numpy(), (truth == LabelState.POSITIVE).numpy(), (counted(truth, answer.states) & labels.targets).numpy()


def qualities(
    truth: Int[Tensor, "N L"], found: Sequence[Answer], labels: LabelSpace, calibration: Calibration
) -> list[Quality]:
    """What ``calibration`` is worth, share by share, on pictures that it was not fitted on."""
    own = np.array([calibration.thresholds.get(name, 0.5) for name in labels.names])
    rows = list[Quality]()
    for answer in found:
        share = answer.evidence.share
        temperature = float(calibration.temperature_at(np.array([share]))[0])
        before, positive, counts = entries(truth, answer, labels, 1.0)
        after, *_ = entries(truth, answer, labels, temperature)
        half = metrics.measure(before, positive, counts)
        fitted = metrics.measure(after - own + 0.5, positive, counts)  # moves each label's threshold to one half
        worse, better = (expected_calibration_error(p[counts], positive[counts]) for p in (before, after))
        rows.append(Quality(share, temperature, worse, better, half.CF1, fitted.CF1, half.OF1, fitted.OF1))
    return rows


def calibration_file(folder: Path) -> Path:
    """Where the calibration of a model folder is, or of the ``model`` folder of a run."""
    return (folder / "model" if (folder / "model" / "config.json").is_file() else folder) / "calibration.json"


def remove_calibration(folder: Path) -> Path:
    """Forget what was fitted; returns the file that is gone."""
    path = calibration_file(folder)
    path.unlink(missing_ok=True)
    return path


def write_calibration(calibration: Calibration, folder: Path) -> Path:
    """Put it into a model folder, or the ``model`` folder of a run, in one step; returns the file."""
    path = calibration_file(folder)
    calibration.save(path)
    return path
