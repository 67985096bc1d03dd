"""What the last model predicts of every picture of the folder, given the labels that are known of it."""

import threading
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from ctran.errors import UserError
from ctran.folders.tagger import Tagger
from ctran.inference import acquisition
from ctran.inference.acquisition import Question
from ctran.inference.prediction import Prediction
from ctran.labels import LabelState
from ctran.model import Features

BATCH = 32
"""Pictures that are predicted together."""

Read = Callable[[Sequence[str]], Features | None]
"""Names of pictures to their features; None where one is not encoded."""


class Predictions:
    """Probabilities of a model for pictures of the folder. Thread-safe.

    Args:
        tagger: the model.
        read: features of pictures, as the model's training had them.
    """

    def __init__(self, tagger: Tagger, read: Read) -> None:
        self.tagger, self.labels, self._read = tagger, tagger.labels, read
        self._lock = threading.Lock()
        self._rows = dict[str, np.ndarray]()  # float16 [L]
        self._stale = set[str]()

    @property
    def thresholds(self) -> dict[str, float]:
        """From where on a label is present, where the model has its own."""
        calibration = self.tagger.calibration
        return dict(calibration.thresholds) if calibration else {}

    def of_all(self, known: Mapping[str, Mapping[str, bool]], stop: Callable[[], bool]) -> None:
        """Compute those of pictures (name -> known labels) that are not there yet, until ``stop``."""
        todo = [name for name in known if name not in self._rows or name in self._stale]
        for start in range(0, len(todo), BATCH):
            if stop():
                return
            names = todo[start : start + BATCH]
            features = self._read(names)
            if features is None:
                continue
            states = torch.stack([self.states(known[name]) for name in names])
            self._stale.difference_update(names)  # before: a change from now on makes them stale again
            with self._lock:
                found = self.tagger.marginals(self._prepared(features), states)
            self._rows.update(zip(names, found.half().numpy(), strict=True))

    def forget(self, names: Sequence[str]) -> None:
        """Compute these again when it is time: their known labels have changed."""
        self._stale.update(names)

    def predict(self, name: str, known: Mapping[str, bool]) -> Prediction | None:
        """Prediction of one picture; None where it is not encoded yet."""
        features = self._read([name])
        if features is None:
            return None
        given = self.given(known)
        with self._lock:
            prepared = self._prepared(features)
            row, present = (each[0] for each in self.tagger.decided(prepared, [given]))
        self._rows[name] = row.half().numpy()
        return self.tagger.named(row, present, given)

    def ask(self, name: str, known: Mapping[str, bool], k: int = 1) -> list[Question]:
        """The labels of a picture whose verification is expected to tell most; empty where it is not encoded yet."""
        features = self._read([name])
        if features is None:
            return []
        with self._lock:
            prepared = self._prepared(features)
            return acquisition.ask(lambda states: self.tagger.marginals(prepared, states), self.labels, self.states(known), k=k)

    def probabilities(self, label: str) -> dict[str, float]:
        """Probability of a label in each picture for which it is computed; empty for a label that the model does not have."""
        if label not in self.labels.index_of:
            return {}
        place = self.labels.index(label)
        return {name: float(row[place]) for name, row in list(self._rows.items())}

    def uncertainty(self, names: Sequence[str]) -> dict[str, float]:
        """Entropy of all labels of each of the pictures for which they are computed, in nats."""
        have = [name for name in names if name in self._rows]
        if not have:
            return {}
        rows = torch.from_numpy(np.stack([self._rows[name] for name in have])).float()
        return dict(zip(have, acquisition.entropy(rows).sum(dim=1).tolist(), strict=True))

    def given(self, known: Mapping[str, bool]) -> dict[str, bool]:
        """Of known labels those that the model has; none where the model's rules, which are older, contradict them."""
        found = {name: present for name, present in known.items() if name in self.labels.index_of}
        try:
            self.labels.states(found)
        except UserError:
            return {}
        return found

    def states(self, known: Mapping[str, bool]) -> Int[Tensor, " L"]:
        """:meth:`given` as :class:`~ctran.labels.LabelState` codes."""
        given = self.given(known)
        return self.labels.states(given) if given else torch.full((len(self.labels),), int(LabelState.UNKNOWN))

    def _prepared(self, features: Features) -> Features:
        with self.tagger.model.without_gradients():
            return self.tagger.model.prepare(features.each(lambda tensor: tensor.to(self.tagger.device)))
