"""From logits in one setting to the entries that metrics count."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ctran import metrics
from ctran.constraints import exclusive
from ctran.constraints.decode import Decoder, known_share_of, scored
from ctran.labels import LabelSpace, LabelState
from ctran.masking import EvalSetting, scored_mask


@dataclass(frozen=True)
class SettingLogits:
    """Logits of ``N`` pictures in one setting, and the states that they were computed for.

    Args:
        setting: how the known labels were chosen.
        states: known labels and what follows from them, :class:`~ctran.labels.LabelState` codes.
        logits: of the model, before any calibration.
        shares: share of given labels in each picture, 0 to 1, without what follows from them; it selects temperatures.
            None: that of ``states``.
        chosen: label sets that the method chose by itself (:meth:`ctran.model.Method.decode`); None where thresholds decide.
    """

    setting: EvalSetting
    states: Int[Tensor, "N L"]
    logits: Float[Tensor, "N L"]
    shares: Float[Tensor, " N"] | None = None
    chosen: Bool[Tensor, "N L"] | None = None

    @property
    def given(self) -> Float[Tensor, " N"]:
        """:attr:`shares`, or where None the known share of :attr:`states`."""
        return known_share_of(self.states) if self.shares is None else self.shares

    @property
    def tensors(self) -> list[Tensor]:
        """All that has a row a picture."""
        return [self.states, self.logits, self.given, *([] if self.chosen is None else [self.chosen])]

    def at(self, rows: slice) -> "SettingLogits":
        """Some of the pictures."""
        shares, chosen = (None if each is None else each[rows] for each in (self.shares, self.chosen))
        return SettingLogits(self.setting, self.states[rows], self.logits[rows], shares, chosen)

    def probabilities(self, decoder: Decoder) -> Float[Tensor, "N L"]:
        """Of each label, 0 to 1, float64, on the CPU."""
        return decoder.probabilities(self.logits.double().cpu(), self.states.cpu(), known_share=self.given)

    def present(self, decoder: Decoder) -> Bool[Tensor, "N L"]:
        """Labels that are predicted to be present, or known to be; on the CPU."""
        return decoder.labels(self.probabilities(decoder), self.states, chosen=self.chosen)

    def thresholds(self, decoder: Decoder) -> metrics.EntryThreshold:
        """For the metrics: one half, or for each entry what gives :meth:`present` of a method that chose label sets."""
        return 0.5 if self.chosen is None else _limits(self.present(decoder))


@dataclass(frozen=True)
class Entries:
    """One output as arrays for the metrics; only target labels count.

    ``thresholds``: from which probability on a label is predicted; one half, or where the method chose label sets by itself
    those of each entry that give these sets.
    """

    probabilities: Float[np.ndarray, "N L"]
    positive: Bool[np.ndarray, "N L"]
    hidden: Bool[np.ndarray, "N L"]
    known: Bool[np.ndarray, "N L"]
    thresholds: metrics.EntryThreshold = 0.5

    @classmethod
    def of(cls, truth: Int[Tensor, "N L"], output: SettingLogits, labels: LabelSpace) -> "Entries":
        """Annotated entries of target labels (``known``), and of these the ones that are neither given nor follow from given
        ones (``hidden``, :func:`ctran.constraints.decode.scored`)."""
        states, logits = output.states.to(truth.device), output.logits.double()
        shown = exclusive.probabilities(logits, states, labels.exclusive)  # `everything` counts given entries by the logits
        p = torch.where(states == LabelState.UNKNOWN, Decoder(labels).probabilities(logits, states), shown)
        return cls._with(p, truth, scored(truth, states, labels), labels, output.thresholds(Decoder(labels)))

    @classmethod
    def published(cls, truth: Int[Tensor, "N L"], output: SettingLogits, labels: LabelSpace) -> "Entries":
        """Entries as in published evaluators, which use neither exclusive groups nor implications: a sigmoid a label, and
        ``hidden`` has all that were unknown to the model."""
        states = output.states.to(truth.device)
        limits = 0.5 if output.chosen is None else _limits(output.chosen)
        return cls._with(output.logits.double().sigmoid(), truth, scored_mask(truth, states), labels, limits)

    @classmethod
    def _with(
        cls,
        p: Float[Tensor, "N L"],
        truth: Int[Tensor, "N L"],
        hidden: Bool[Tensor, "N L"],
        labels: LabelSpace,
        thresholds: metrics.EntryThreshold,
    ) -> "Entries":
        targets = labels.targets.numpy()
        return cls(
            p.cpu().numpy(),
            (truth == LabelState.POSITIVE).cpu().numpy(),
            hidden.cpu().numpy() & targets,
            (truth != LabelState.UNKNOWN).cpu().numpy() & targets,
            thresholds,
        )

    @property
    def decisions(self) -> Float[np.ndarray, "N L"]:
        """Scores of which the greatest of an exclusive group is the one that is predicted: probabilities, or 1 and 0 for the
        label sets of a method that chose them by itself."""
        return (
            np.equal(self.thresholds, 0).astype(np.float64) if isinstance(self.thresholds, np.ndarray) else self.probabilities
        )

    def counted(self, definition: metrics.Definition, annotated: Bool[np.ndarray, " L"]) -> metrics.Counted:
        """Counts by a published definition.

        Args:
            annotated: target labels that are annotated in some picture of all.
        """
        return metrics.count(
            *(self.probabilities, self.positive, self.hidden, annotated),
            threshold=self.thresholds,
            definition=definition,
            everything=self.known,
        )


def _limits(present: Bool[Tensor, "N L"]) -> Float[np.ndarray, "N L"]:
    """A threshold for each entry that every probability of a present label reaches, and none of another."""
    return np.where(present.cpu().numpy(), 0.0, 2.0)
