"""A model beside the simpler predictors that it is made of, on pictures that they were not fitted to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ctran.constraints.decode import scored
from ctran.data.loading import Batch, PictureSet, loader
from ctran.data.table import SampleTable
from ctran.evaluation.evaluate import SettingLogits, features_of, predict, report
from ctran.folders.tagger import Tagger
from ctran.labels import LabelSpace, LabelState
from ctran.masking import EvalSetting
from ctran.model import Features, Method
from ctran.progress import track


@dataclass(frozen=True)
class Candidate:
    """One predictor.

    Args:
        name: of the part, or of the method.
        mAP: in each setting, in percent, over the labels that are not known.
        log_loss: in each setting, mean over these entries, in nats.
    """

    name: str
    mAP: tuple[float, ...]
    log_loss: tuple[float, ...]


class _Part(Method):
    """One of a method's parts as a method."""

    def __init__(self, whole: Method, name: str) -> None:
        super().__init__()
        self.whole, self.part = whole, name

    def prepare(self, features: Features) -> Features:
        return self.whole.prepare(features)

    def predict_labels(
        self, features: Features, states: Int[Tensor, "R L"], *, hide_image: Bool[Tensor, " R"] | None = None
    ) -> Float[Tensor, "R L"]:
        return self.whole.parts(features, states)[self.part]


@torch.no_grad()
def candidates(
    tagger: Tagger,
    table: SampleTable,
    settings: Sequence[EvalSetting],
    *,
    seed: int = 0,
    draws: int = 3,
    left_out: Mapping[str, Any] | None = None,
) -> list[Candidate]:
    """The parts of a model (:meth:`ctran.model.Method.parts`), then the model; empty where it has no parts.

    Args:
        table: pictures that nothing was fitted to.
        settings: which labels are known.
        seed: of the choice of known labels.
        draws: how often that choice is made.
        left_out: labels without a meaningful AP.
    """
    model, labels = tagger.model, tagger.labels
    if not model.has_parts:
        return []  # before any picture is encoded
    pictures = loader(PictureSet(table, labels, tagger.preprocessing), batch_size=32)
    batches: list[Batch] = []
    for given in track(pictures, "comparing parts", len(pictures)):
        batch = given.to(tagger.device)
        batches.append(Batch(features_of(model, batch), batch.truth, batch.index))
    first = batches[0].inputs
    assert isinstance(first, Features)
    parts = model.parts(first[:1], torch.zeros_like(batches[0].truth[:1]))
    found, assumed = [], table.assumed_for(labels) if table.unlisted else None
    for name, predictor in [*((name, _Part(model, name)) for name in parts), (model.name, model)]:
        truth, outputs = predict(predictor, batches, table.ids, labels, settings, seed=seed, draws=draws, assumed=assumed)
        measured = report(truth, outputs, labels, left_out=left_out or {})
        losses = [log_loss(truth, [output for output in outputs if output.setting == setting], labels) for setting in settings]
        found.append(Candidate(name, tuple(row.hidden.mAP for row in measured.settings), tuple(losses)))
    return found


def log_loss(truth: Int[Tensor, "N L"], outputs: Sequence[SettingLogits], labels: LabelSpace) -> float:
    """Mean negative log-likelihood of the entries that are not known, in nats, over the draws of one setting."""
    total, count = 0.0, 0
    for output in outputs:
        hidden = scored(truth, output.states.long(), labels) & labels.targets.to(truth.device)
        each = F.binary_cross_entropy_with_logits(
            output.logits.double(), (truth == LabelState.POSITIVE).double(), reduction="none"
        )
        total, count = total + float(each[hidden].sum()), count + int(hidden.sum())
    return total / max(count, 1)


def markdown(found: Sequence[Candidate], settings: Sequence[EvalSetting], pictures: int) -> str:
    """A table of mAP and log-loss, one predictor a row."""
    heads = [f"{kind} {setting}" for kind in ("mAP", "log-loss") for setting in settings]
    rows = [
        [each.name, *(f"{value:.1f}" for value in each.mAP), *(f"{value:.4f}" for value in each.log_loss)] for each in found
    ]
    lines = [["predictor", *heads], ["---"] * (len(heads) + 1), *rows]
    return (
        "\n".join(f"| {' | '.join(line)} |" for line in lines)
        + f"\n\nOn the {pictures:,} pictures of val, at each share of known labels; the last row is the model that was saved.\n"
    )
