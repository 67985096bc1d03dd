"""The one way from logits and states to probabilities and labels, and the entries that are left to predict."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ctran.constraints import exclusive, implications
from ctran.constraints.calibration import Calibration
from ctran.constraints.rules import ContradictionError
from ctran.errors import UserError
from ctran.labels import LabelSpace, LabelState
from ctran.masking import scored_mask

Threshold = float | Mapping[str, float] | None
"""From which probability on a label is present: one number for all labels, some by name, or None for the model's own."""

ROWS = 4096
"""Rows decided at once, to limit memory use."""


@dataclass(frozen=True)
class Decoder:
    """From logits and known labels to probabilities and present labels, for any number of pictures.

    Metrics, ``predict``, sessions, the server, exports, plots, ``calibrate`` and ``suspects`` all decode here.

    Args:
        space: the labels, with their exclusive groups and implications.
        calibration: temperatures and thresholds; None takes logits as they are, and thresholds of one half.
    """

    space: LabelSpace
    calibration: Calibration | None = None

    def probabilities(
        self, logits: Float[Tensor, "R L"], states: Int[Tensor, "R L"], *, known_share: Float[Tensor, " R"] | None = None
    ) -> Float[Tensor, "R L"]:
        """Probability of each label, 0 to 1: sigmoids of logits divided by the temperature of the known share, and a softmax
        over each exclusive group; exactly 0 or 1 for labels known in ``states`` and for all that follow from them; no
        parent is less probable than its children.

        Args:
            states: known labels, :class:`~ctran.labels.LabelState` codes, on the device of ``logits``.
            known_share: share of given labels in each row, 0 to 1, where ``states`` also has what follows from them; None
                takes that of ``states``.
        """
        if self.calibration is not None:
            logits = logits / self.temperatures(states, known_share=known_share)[:, None].to(logits)
        closed = implications.propagate(states, self.space)
        found = exclusive.probabilities(logits, closed, self.space.exclusive)
        return implications.clamp_known(found, closed, self.space)

    def temperatures(
        self, states: Int[Tensor, "R L"], *, known_share: Float[Tensor, " R"] | None = None
    ) -> Float[Tensor, " R"]:
        """Divisor of the logits of each row, float64, on the CPU; arguments as of :meth:`probabilities`."""
        if self.calibration is None:
            return torch.ones(len(states), dtype=torch.double)
        share = known_share_of(states) if known_share is None else known_share
        return torch.from_numpy(self.calibration.temperature_at(share.double().cpu().numpy()))

    def labels(
        self,
        probabilities: Float[Tensor, "R L"],
        states: Int[Tensor, "R L"],
        *,
        threshold: Threshold = None,
        chosen: Bool[Tensor, "R L"] | None = None,
    ) -> Bool[Tensor, "R L"]:
        """Labels that are present: known to be, or following from known labels; outside exclusive groups with a probability of
        at least the threshold; the most probable one of each exclusive group; or implied by one of these.

        Whatever the thresholds, they contradict neither known labels nor groups and implications: where choices contradict
        each other, groups are decided first, then labels from the most probable on
        (:meth:`ctran.constraints.rules.Constraints.decide`). A row whose known labels contradict each other keeps them as they
        are. Extra labels are present only where they are known to be.

        Args:
            probabilities: of :meth:`probabilities`.
            states: as there.
            threshold: probability from which on a label is present, one for all labels or some by name; labels without one
                take that of :attr:`calibration`, or else one half.
            chosen: label sets that the method chose by itself (:meth:`ctran.model.Method.decode`): they decide instead of
                thresholds, for all labels that ``threshold`` does not name.

        Raises:
            UserError: a threshold outside of 0 to 1; :class:`~ctran.labels.UnknownLabelError` for one of a missing label.
        """
        p, states = probabilities.detach().cpu(), states.cpu()
        limits = self.thresholds(threshold)
        if chosen is not None:
            p = _as_chosen(p, torch.where(self._named(threshold), p >= limits, chosen.cpu()))
            limits = torch.full_like(limits, 0.5)
        parts = [self._decided(*part, limits) for part in zip(p.split(ROWS), states.split(ROWS), strict=True)]
        return torch.cat(parts) if parts else torch.zeros_like(states, dtype=torch.bool)

    def thresholds(self, threshold: Threshold = None) -> Float[Tensor, " L"]:
        """Probability from which on each label is present, float64; arguments and errors as of :meth:`labels`."""
        if threshold is not None and not isinstance(threshold, Mapping):
            if not 0 <= threshold <= 1:
                raise UserError(f"threshold: expected a probability from 0 to 1, got {threshold}")
            return torch.full((len(self.space),), float(threshold), dtype=torch.double)
        found = torch.full((len(self.space),), 0.5, dtype=torch.double)
        own = self.calibration.thresholds if self.calibration is not None else {}
        for name, value in {**own, **(threshold or {})}.items():
            at = self.space.index(name)
            if not 0 <= value <= 1:
                raise UserError(f"threshold of {name!r}: expected a probability from 0 to 1, got {value}")
            found[at] = value
        return found

    def _named(self, threshold: Threshold) -> Bool[Tensor, " L"]:
        """Labels for which a call gives a threshold."""
        if threshold is None or isinstance(threshold, Mapping):
            return torch.tensor([name in (threshold or {}) for name in self.space.names], dtype=torch.bool)
        return torch.ones(len(self.space), dtype=torch.bool)

    def _decided(self, p: Float[Tensor, "R L"], states: Int[Tensor, "R L"], limits: Float[Tensor, " L"]) -> Bool[Tensor, "R L"]:
        """:meth:`labels` of one chunk of rows."""
        closed = implications.propagate(states, self.space)
        open_ = (closed == LabelState.UNKNOWN) & self.space.targets
        chosen = open_ & (p >= limits)
        for members in self.space.exclusive:
            members = members.sort().values  # of equal probabilities the first label, as in the order of predictions
            left, decided = open_[:, members], (closed[:, members] == LabelState.POSITIVE).any(dim=1, keepdim=True)
            chosen[:, members] = _best(p[:, members], left) & ~decided
        found = implications.propagate(torch.where(chosen, int(LabelState.POSITIVE), closed), self.space)
        present = (found == LabelState.POSITIVE) & self.space.targets
        for row in self._contradicts(found, closed, p).nonzero()[:, 0].tolist():
            present[row] = self._by_rules(p[row], states[row], limits, otherwise=present[row])
        return torch.where(states == LabelState.UNKNOWN, present, states == LabelState.POSITIVE)

    def _contradicts(
        self, found: Int[Tensor, "R L"], closed: Int[Tensor, "R L"], p: Float[Tensor, "R L"]
    ) -> Bool[Tensor, " R"]:
        """Rows where the choices in ``found`` may contradict each other or known labels.

        In the others all choices can be made together, so their order does not matter: with the most probable label of each
        group that is still open (extra ones) they are a whole label set that obeys all rules.
        """
        whole = found == LabelState.POSITIVE
        for members in self.space.exclusive:
            undecided = ~whole[:, members].any(dim=1, keepdim=True)
            whole[:, members] |= _best(p[:, members], found[:, members] == LabelState.UNKNOWN) & undecided
        child, parent = self.space.implied.T
        whole = whole.int().index_add(1, parent, whole[:, child].int()) > 0
        wrong = (whole & (closed == LabelState.NEGATIVE)).any(dim=1)
        wrong |= (whole & (found != LabelState.POSITIVE) & self.space.targets).any(dim=1)  # what an extra label implies
        for members in self.space.exclusive:
            wrong |= whole[:, members].sum(dim=1) != 1
        return wrong

    def _by_rules(
        self, p: Float[Tensor, " L"], states: Int[Tensor, " L"], limits: Float[Tensor, " L"], *, otherwise: Bool[Tensor, " L"]
    ) -> Bool[Tensor, " L"]:
        """One row, choice after choice; ``otherwise`` where known labels contradict each other."""
        names, unknown = self.space.names, states == LabelState.UNKNOWN
        known = {names[i]: bool(states[i] == LabelState.POSITIVE) for i in (states != LabelState.UNKNOWN).nonzero()[:, 0]}
        order = [i for i in p.argsort(descending=True, stable=True).tolist() if unknown[i]]
        asked, extra = ({names[i]: float(p[i]) for i in order if self.space.targets[i] == each} for each in (True, False))
        least = dict(zip(names, limits.tolist(), strict=True))
        try:
            found = self.space.constraints.decide(asked, known, least.__getitem__, extra)
        except ContradictionError:
            return otherwise
        return torch.tensor([found.get(name, False) for name in names])


def _as_chosen(p: Float[Tensor, "R L"], chosen: Bool[Tensor, "R L"]) -> Float[Tensor, "R L"]:
    """Scores of at least one half for chosen labels and below it for the others, in the order of ``p`` among each kind."""
    return torch.where(chosen, 0.5 + p.double() / 2, 0.499 * p.double())


def _best(p: Float[Tensor, "R M"], left: Bool[Tensor, "R M"]) -> Bool[Tensor, "R M"]:
    """True at the most probable of the labels that are ``left``, if any."""
    best = p.masked_fill(~left, -1).argmax(dim=1, keepdim=True)
    return torch.zeros_like(left).scatter(1, best, value=True) & left


def known_share_of(states: Int[Tensor, "R L"]) -> Float[Tensor, " R"]:
    """Share of the labels of each row that are known in ``states``, 0 to 1."""
    return (states != LabelState.UNKNOWN).float().mean(dim=1)


def scored(truth: Int[Tensor, "R L"], states: Int[Tensor, "R L"], labels: LabelSpace) -> Bool[Tensor, "R L"]:
    """Entries that metrics count: annotated, and neither known in ``states`` nor a consequence of them.

    A consequence (the rivals of a known label of an exclusive group, the parent of a known child) is not a prediction: its
    probability is exactly 0 or 1, and counting it would raise every figure with the share of known labels.
    """
    return scored_mask(truth, implications.propagate(states, labels))
