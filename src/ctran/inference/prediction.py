"""The prediction for one picture."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Prediction:
    """Probabilities and labels of one picture.

    Args:
        probabilities: label name -> probability, 0 to 1, of the labels that were not known; most probable first. Extra labels
            are not predicted.
        known: the known labels: label name -> present or absent.
        labels: those that are present, the known ones first, then most probable first. They contradict neither known labels
            nor exclusive groups and implications (:meth:`ctran.constraints.decode.Decoder.labels`).
    """

    probabilities: dict[str, float]
    known: dict[str, bool]
    labels: list[str]

    def top(self, k: int = 5) -> dict[str, float]:
        """The ``k`` most probable labels that were not known."""
        return dict(list(self.probabilities.items())[:k])
