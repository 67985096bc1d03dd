"""The input of metrics, checked and reduced to the labels that are evaluated."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from ctran.errors import UserError
from ctran.metrics.definition import Definition

EntryThreshold = float | Float[np.ndarray, "N L"]
"""From which probability on a label is predicted: one number, or one for each entry."""


@dataclass(frozen=True)
class Sheet:
    """Checked input, of the evaluated labels only.

    Args:
        labels: their indices: those with an annotated entry, extra labels left out.
        hidden: entries of AP and AUROC.
        entries: entries of everything else.
        absent: how absent labels count in mAP.
    """

    labels: Int[np.ndarray, " l"]
    scores: Float[np.ndarray, "N l"]
    positive: Bool[np.ndarray, "N l"]
    hidden: Bool[np.ndarray, "N l"]
    entries: Bool[np.ndarray, "N l"]
    absent: str

    def columns(self) -> Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Scores, truth and hidden entries of each label, contiguous in memory: sorting strided columns is slow."""
        rows = [np.ascontiguousarray(a.T) for a in (self.scores, self.positive, self.hidden)]
        return list(zip(*rows, strict=True))


def sheet(
    probabilities: np.ndarray,
    positive: np.ndarray,
    mask: np.ndarray,
    everything: np.ndarray | None,
    definition: Definition,
    labels: Int[np.ndarray, " l"] | None = None,
) -> Sheet:
    """Check the input of :func:`measure` and reduce it to the evaluated labels, given where more images have entries."""
    known = mask if everything is None else everything
    shapes = [a.shape for a in (probabilities, positive, mask, known)]
    if len(set(shapes)) > 1:
        raise ValueError(
            f"shapes must agree, got {shapes[0]}, {shapes[1]}, {shapes[2]} and {shapes[3]} for "
            "probabilities, positive, mask and everything"
        )
    if not np.isfinite(probabilities).all():
        raise UserError("probabilities must be finite, got NaN or infinity")
    if everything is not None and (mask & ~everything).any():
        raise ValueError(f"everything must contain mask, but lacks {(mask & ~everything).sum()} of its entries")
    labels = np.flatnonzero(known.any(axis=0)) if labels is None else labels
    entries = {"hidden": mask, "known": known, "all": np.ones_like(mask)}[definition.entries]
    some_known = everything is not None and not np.array_equal(mask, everything)
    take = slice(None) if len(labels) == mask.shape[1] else labels
    return Sheet(
        labels,
        probabilities[:, take],
        (positive & known)[:, take],
        mask[:, take],
        entries[:, take],
        absent_of(definition, some_known),
    )


def absent_of(definition: Definition, some_known: bool) -> str:
    """How absent labels count in mAP, where some entries were known to the model or none."""
    return definition.absent_with_known if some_known and definition.absent_with_known != "same" else definition.absent


def limits(threshold: EntryThreshold, cut: Sheet) -> float | Float[np.ndarray, "N l"]:
    """The threshold of the evaluated labels."""
    return threshold[:, cut.labels] if isinstance(threshold, np.ndarray) else threshold
