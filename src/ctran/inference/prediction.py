"""What is predicted of one picture: labels, changes of their probabilities, whole label sets."""

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


@dataclass(frozen=True)
class Change:
    """Change of a label's probability when another label becomes known.

    Args:
        before, after: probability that it is present, 0 to 1.
    """

    before: float
    after: float

    @property
    def difference(self) -> float:
        """From -1 to 1."""
        return self.after - self.before


@dataclass(frozen=True)
class LabelSet:
    """One assignment of all labels.

    Args:
        labels: those that are present, in the order of the label space.
        log_likelihood: of the whole set given the known labels, in nats, in the order in which it was revealed.
    """

    labels: tuple[str, ...]
    log_likelihood: float
