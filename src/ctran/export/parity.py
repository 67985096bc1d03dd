"""How far the logits of an exported folder are from the model's, on pictures and states like those in use."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ctran.constraints.decode import Decoder
from ctran.export.pictures import Pictures
from ctran.folders.exported import Exported
from ctran.inference.predictor import Predictor
from ctran.labels import LabelState
from ctran.model import Features

SHARES = (0.0, 0.25, 0.75)
"""Shares of the labels that are known: none, some, most."""
BATCH = 3
"""Pictures in one batch."""


@dataclass(frozen=True)
class Parity:
    """The measured difference.

    Args:
        pictures: how many were compared, each in all of :data:`SHARES`.
        logits: largest absolute difference.
        changed: share of the unknown labels that one predicts as present and the other as absent, with the model's
            temperatures and thresholds (:class:`~ctran.constraints.decode.Decoder`).
    """

    pictures: int
    logits: float
    changed: float

    def __str__(self) -> str:
        return (
            f"{self.pictures} pictures, {len(SHARES)} states each: logits differ by at most {self.logits:.2g}, "
            f"{100 * self.changed:.3g} % of the decisions change"
        )


@torch.inference_mode()
def likely_states(tagger: Predictor, features: Features, seed: int) -> Int[Tensor, "B S L"]:
    """Likely states, on the CPU: :data:`SHARES` of the labels are known, as the model itself predicts them."""
    nothing_known = torch.zeros(len(features), len(tagger.labels), dtype=torch.long, device=tagger.device)
    present = tagger.model.predict_labels(features, nothing_known).cpu() > 0
    predicted = torch.where(present, int(LabelState.POSITIVE), int(LabelState.NEGATIVE))
    order = torch.rand(predicted.shape, generator=torch.Generator().manual_seed(seed)).argsort(dim=1).argsort(dim=1)
    count = predicted.shape[1]
    return torch.stack([torch.where(order < round(share * count), predicted, 0) for share in SHARES], dim=1)


@torch.inference_mode()
def measure(tagger: Predictor, exported: Exported, pictures: Pictures, count: int) -> Parity:
    """Compare on ``count`` pictures, in both kinds of batch: several pictures, and several states of one picture."""
    largest, changed, decided = 0.0, 0, 0
    chosen = pictures.some(count)
    for exact, found, states in _logits(tagger, exported, pictures, chosen):
        difference = (found - exact).abs().max()
        largest = max(largest, float(difference)) if difference.isfinite() else float("inf")
        before, after = (_present(tagger.decoder, logits, states) for logits in (exact, found))
        unknown = (states == LabelState.UNKNOWN) & tagger.labels.targets
        changed += int(((before != after) & unknown).sum())
        decided += int(unknown.sum())
    return Parity(len(chosen), largest, changed / max(1, decided))


def _present(decoder: Decoder, logits: Float[Tensor, "R L"], states: Int[Tensor, "R L"]) -> Bool[Tensor, "R L"]:
    return decoder.labels(decoder.probabilities(logits, states), states)


def _logits(
    tagger: Predictor, exported: Exported, pictures: Pictures, chosen: list[int]
) -> Iterator[tuple[Tensor, Tensor, Int[Tensor, "R L"]]]:
    """Logits of the model, of the exported folder, and the states."""
    for start in range(0, len(chosen), BATCH):
        images = pictures.batch(chosen[start : start + BATCH])
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # its rounding would be taken for a difference
            features = tagger.model.prepare(tagger.model.encode_images(images.to(tagger.device)))
        states = likely_states(tagger, features, seed=start)
        exact = tagger.model.predict_labels(features, states.flatten(0, 1).to(tagger.device)).cpu()
        exact = exact.unflatten(0, states.shape[:2])
        in_batch = exported.model.encode_images(images)
        for number in range(len(SHARES)):  # B pictures, one state each
            yield exact[:, number], exported.model.predict_labels(in_batch, states[:, number]), states[:, number]
        for number in range(len(images)):  # one picture, S states
            alone = exported.model.encode_images(images[number : number + 1])
            yield exact[number], exported.model.predict_labels(alone, states[number]), states[number]
