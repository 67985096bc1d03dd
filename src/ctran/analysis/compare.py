"""Several methods on one set of pictures: a row of figures for each method and seed, and which differences are none."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ctran.analysis.cost import cost_of
from ctran.errors import UserError
from ctran.evaluation.entries import Entries, SettingLogits
from ctran.evaluation.evaluate import report
from ctran.evaluation.report import no_nan
from ctran.files import write_text
from ctran.folders.tagger import Tagger
from ctran.labels import LabelState
from ctran.metrics.bootstrap import AT_ONCE, Resampling, draw

Clock = Callable[[], float]
FIGURES = ("mAP", "CF1", "OF1")
REPLICATES = 200
"""Resamples of the test pictures, the same for all rows."""
TIMED = 10
"""Calls that are timed after one that is not; the shortest counts, as whatever else the machine does only adds time."""


@dataclass(frozen=True)
class Row:
    """One method with one seed.

    Args:
        figures: each of :data:`FIGURES` in percent, in each setting, over labels that are not known; means over the draws.
        resampled: mAP in each setting, for each of :data:`REPLICATES` resamples of the test pictures.
        parameters: numbers that are saved with the model beside the backbone.
        multiply_adds: of a picture, and of a changed label, beside the backbone.
        milliseconds: of a picture, with the backbone, and of a changed label; one picture at a time.
        training_seconds: without the time for image features that are stored; None where it was not measured.
    """

    method: str
    seed: int
    figures: Mapping[str, Sequence[float]]
    resampled: Sequence[Sequence[float]]
    parameters: int
    multiply_adds: tuple[int, int]
    milliseconds: tuple[float, float]
    training_seconds: float | None = None


@dataclass(frozen=True)
class Comparison:
    """All that is known so far.

    Args:
        about: what all rows share (the recipe's keys, the test pictures), by name.
        settings: names of the settings, and the number by which a curve is drawn: percent of known labels, or groups.
        left_out: methods that are not compared, each with the reason.
    """

    about: Mapping[str, str]
    settings: Mapping[str, float]
    rows: Sequence[Row] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)

    def has(self, method: str, seed: int) -> bool:
        """Whether this row is measured."""
        return any((row.method, row.seed) == (method, seed) for row in self.rows)

    def of(self, method: str) -> list[Row]:
        """The rows of a method."""
        return [row for row in self.rows if row.method == method]

    def ranking(self) -> list[str]:
        """Methods by their mAP, mean over settings and seeds, the best first."""
        return sorted({row.method for row in self.rows}, key=lambda name: (-_number(np.mean(self.mean(name))), name))

    def mean(self, method: str, figure: str = "mAP") -> Float[np.ndarray, " S"]:
        """Mean over the seeds, in each setting."""
        return np.mean([row.figures[figure] for row in self.of(method)], axis=0)

    def spread(self, method: str, figure: str = "mAP") -> Float[np.ndarray, " S"]:
        """Standard deviation over the seeds, in each setting; NaN for a single seed."""
        found = np.array([row.figures[figure] for row in self.of(method)])
        return np.std(found, axis=0, ddof=1) if len(found) > 1 else np.full(found.shape[1], np.nan)

    def save(self, path: Path) -> None:
        """Write as JSON, in one step."""
        write_text(path, json.dumps(no_nan(asdict(self)), indent=1, allow_nan=False) + "\n")


@dataclass(frozen=True)
class Difference:
    """mAP of one method less that of another, with a 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def is_none(self) -> bool:
        """Whether the interval holds 0, or does not exist."""
        return not (self.low > 0 or self.high < 0)


def load(path: Path, about: Mapping[str, str], settings: Mapping[str, float]) -> Comparison:
    """The rows that were measured before; an empty comparison where there is no file.

    Raises:
        UserError: they were measured with other keys or on other pictures.
    """
    if not path.exists():
        return Comparison(about, settings)
    found: dict[str, Any] = with_nan(json.loads(path.read_text(encoding="utf-8")))
    then = {**found["about"], "settings": str(found["settings"])}
    now = {**about, "settings": str(dict(settings))}
    if other := sorted(key for key in then | now if then.get(key) != now.get(key)):
        changes = ", ".join(f"{key} (was {then.get(key, 'not set')})" for key in other)
        raise UserError(f"{path} was measured with other settings: {changes}. Use these again, or name another --output")
    return Comparison(about, settings, [row_from(each) for each in found["rows"]], found["left_out"])


def difference(comparison: Comparison, method: str, other: str, setting: int | None = None) -> Difference:
    """mAP of ``method`` less that of ``other``: the basic bootstrap, in pairs over the same resampled pictures.

    Of several seeds, as many are drawn with replacement in each resample, for each method by itself.

    Args:
        setting: number of the setting; None for the mean over all.
    """
    generator = np.random.default_rng(0)

    def resampled(name: str) -> Float[np.ndarray, " R"]:
        found = np.array([_in_setting(np.array(row.resampled, dtype=float), setting) for row in comparison.of(name)])
        drawn = generator.integers(len(found), size=found.shape)
        return np.take_along_axis(found, drawn, axis=0).mean(axis=0)

    value = float(_in_setting(comparison.mean(method) - comparison.mean(other), setting))
    differences = resampled(method) - resampled(other)
    differences = differences[~np.isnan(differences)]
    if np.isnan(value) or not len(differences):
        return Difference(value, float("nan"), float("nan"))
    low, high = 2 * value - np.percentile(differences, [97.5, 2.5])
    return Difference(value, float(low), float(high))


def measure(
    tagger: Tagger,
    truth: Int[Tensor, "N L"],
    outputs: Sequence[SettingLogits],
    image: Float[Tensor, "1 3 H W"],
    clock: Clock = time.perf_counter,
) -> dict[str, Any]:
    """Everything of a :class:`Row` that follows from the trained model; it is moved to the CPU at last.

    Args:
        outputs: for the test pictures, in all settings and draws.
        image: of a picture, by which time and cost are measured.
        clock: seconds; ``time.process_time`` where others use the machine too, and the model is on the CPU.
    """
    found = report(truth, outputs, tagger.labels, left_out=tagger.unlearnable.reasons)
    figures = {name: [setting.hidden.as_dict()[name] for setting in found.settings] for name in FIGURES}
    return {"figures": figures, "resampled": _resampled(tagger, truth, outputs), **_costs(tagger, image, clock)}


def _resampled(tagger: Tagger, truth: Int[Tensor, "N L"], outputs: Sequence[SettingLogits]) -> list[list[float]]:
    """mAP of every resample in every setting, mean over the draws of known labels."""
    kept = np.array([name not in tagger.unlearnable.names for name in tagger.labels.names])
    draws: dict[object, list[Float[np.ndarray, " R"]]] = {}
    for output in outputs:
        entries = Entries.of(truth, output, tagger.labels)
        resampling = Resampling(entries.probabilities, entries.positive, entries.hidden & kept)
        generator = np.random.default_rng(0)  # the same pictures in every row
        parts = [resampling.figures(draw(len(truth), AT_ONCE, generator))["mAP"] for _ in range(REPLICATES // AT_ONCE)]
        draws.setdefault(output.setting, []).append(np.concatenate(parts))
    return [np.mean(each, axis=0).round(4).tolist() for each in draws.values()]


def _costs(tagger: Tagger, image: Float[Tensor, "1 3 H W"], clock: Clock) -> dict[str, Any]:
    """Parameters, multiply-adds and milliseconds."""
    model, labels = tagger.model, len(tagger.labels)
    image = image.to(tagger.device)
    states = torch.zeros(1, labels, dtype=torch.long, device=tagger.device)
    known = states.clone()
    known[0, 0] = LabelState.POSITIVE
    with model.without_gradients():
        features = model.encode_images(image)
        prepared = model.prepare(features)
        picture = milliseconds(lambda: model.predict_labels(model.prepare(model.encode_images(image)), states), clock)
        changed = milliseconds(lambda: model.predict_labels(prepared, known), clock)
    tagger.to("cpu")
    cost = cost_of(model, features.each(Tensor.cpu), labels)
    return {
        "parameters": cost.parameters,
        "multiply_adds": (cost.picture, cost.changed),
        "milliseconds": (picture, changed),
    }


def milliseconds(run: Callable[[], Tensor], clock: Clock = time.perf_counter) -> float:
    """Least time of a call."""
    spent = list[float]()
    for _ in range(TIMED + 1):
        started = clock()
        run().sum().item()  # waits for a GPU
        spent.append(1000 * (clock() - started))
    return min(spent[1:])


def _in_setting(values: Float[np.ndarray, "S ..."], setting: int | None) -> Any:
    """One setting's, or the mean over all (the first axis)."""
    return values.mean(axis=0) if setting is None else values[setting]


def _number(value: Any) -> float:
    """NaN as less than everything else."""
    return float("-inf") if np.isnan(value) else float(value)


def row_from(found: Mapping[str, Any]) -> Row:
    """A row as :meth:`Comparison.save` writes it, after :func:`with_nan`."""
    pairs = {name: tuple(found[name]) for name in ("multiply_adds", "milliseconds")}
    seconds = found["training_seconds"]
    return Row(**{**found, **pairs, "training_seconds": None if np.isnan(seconds) else seconds})


def with_nan(value: Any) -> Any:
    """Numbers that do not exist, which JSON has as null."""
    if isinstance(value, dict):
        return {key: with_nan(each) for key, each in value.items()}
    if isinstance(value, list):
        return [with_nan(each) for each in value]
    return float("nan") if value is None else value
