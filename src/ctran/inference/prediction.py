"""What a model says of one picture."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ctran.constraints.rules import Constraints

Threshold = float | Mapping[str, float] | None
"""From where on a label counts as present: one number for all labels, some by name, or what the model came with."""


@dataclass(frozen=True)
class Prediction:
    """Probabilities of one picture, most probable first.

    Args:
        probabilities: label name -> probability, of the labels that were not told.
        known: what was told.
        threshold: from where on a label counts as present.
        exclusive: labels of each exclusive group, of which exactly one is present.
        thresholds: those of single labels, where they have their own (``ctran calibrate``).
        implications: pairs (child, parent), all that follows from the label space's.
    """

    probabilities: dict[str, float]
    known: dict[str, bool]
    threshold: float = 0.5
    exclusive: tuple[tuple[str, ...], ...] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict)
    implications: tuple[tuple[str, str], ...] = ()

    @property
    def labels(self) -> list[str]:
        """Labels that are present: known to be, or following from what is known; of a probability of at least the threshold;
        the most probable of its exclusive group; or implied by one of these. Whatever the thresholds, they contradict neither
        what is known nor groups and implications (:meth:`ctran.constraints.rules.Constraints.decide`)."""
        told = [name for name, present in self.known.items() if present]
        constraints = Constraints(self.exclusive, self.implications)
        chosen = constraints.decide(self.probabilities, self.known, lambda n: self.thresholds.get(n, self.threshold))
        return told + [name for name, present in chosen.items() if present]

    def top(self, k: int = 5) -> dict[str, float]:
        """The ``k`` most probable labels that were not told."""
        return dict(list(self.probabilities.items())[:k])
