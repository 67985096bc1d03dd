"""One ``<Choices>`` tag of a labelling configuration: which choices a prediction ticks, and how sure each decision is."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ctran.inference.prediction import Prediction


@dataclass(frozen=True)
class Choices:
    """One ``<Choices>`` tag about a whole picture.

    Args:
        name, image: names of the tag, and of the ``<Image>`` that it is about.
        labels: name of a choice in results -> the model's labels; with several, the choice means any of them.
        multiple: several choices may be ticked.
        absent: a tick means that the label is absent (a cross).
    """

    name: str
    image: str
    labels: Mapping[str, tuple[str, ...]]
    multiple: bool = True
    absent: bool = False

    def ticked(self, prediction: Prediction, by_people: Collection[str] = ()) -> list[str]:
        """Choices that the model predicts, and those of people; of crosses, people's alone."""
        if self.absent:
            known = prediction.known
            return [choice for choice, labels in self.labels.items() if all(known.get(label) is False for label in labels)]
        present = set(prediction.labels)
        found = [choice for choice, labels in self.labels.items() if choice in by_people or not present.isdisjoint(labels)]
        if self.multiple:
            return found
        return sorted(found, key=lambda choice: (choice not in by_people, -_probability_of(prediction, self.labels[choice])))[
            :1
        ]

    def sureness(self, prediction: Prediction, ticked: Sequence[str], by_people: Collection[str] = ()) -> list[float]:
        """Probability that the decision on each choice is right; 1 where people made it. Choices whose labels are neither
        predicted nor known are left out."""
        if self.absent:
            return [1.0] * len(ticked)
        predictable = prediction.known | prediction.probabilities
        found = list[float]()
        for choice, labels in self.labels.items():
            if choice in by_people:
                found.append(1.0)
            elif any(label in predictable for label in labels):
                p = _probability_of(prediction, labels)
                found.append(p if choice in ticked else 1 - p)
        return found


def _probability_of(prediction: Prediction, labels: Sequence[str]) -> float:
    """Probability that any of these labels is present: that of the most probable one, as they may mean the same thing.

    Known labels count as 0 or 1, labels that are never predicted as 0.
    """
    known, probabilities = prediction.known, prediction.probabilities
    return max(float(known[label]) if label in known else probabilities.get(label, 0.0) for label in labels)
