"""A session: one picture, encoded once, its known labels, and predictions given these."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from ctran.constraints.decode import Threshold
from ctran.errors import UserError
from ctran.inference import acquisition, sets
from ctran.inference.acquisition import Policy, Question
from ctran.inference.encoded import EncodedPredictor
from ctran.inference.heatmap import Picture, enlarged, enlargement
from ctran.inference.known_history import KnownHistory
from ctran.inference.prediction import Change, LabelSet, Prediction
from ctran.known import Known
from ctran.labels import LabelSpace, LabelState
from ctran.model import Features

FORMAT = 1


class Session:
    """An encoded picture and its known labels; made by :meth:`~ctran.inference.predictor.Predictor.session`.

    The picture is encoded once. A query costs ``predict_labels``, with one row of states or, where several outcomes are
    compared, one row for each.

    Args:
        predictor: the model.
        features: of this one picture.
        square: the picture as model input.
        picture: opens it again with all its pixels, for detail in :meth:`heatmap`; None enlarges ``square`` instead.
        resume: :meth:`as_dict` of an earlier session about the same picture.
    """

    def __init__(
        self,
        predictor: EncodedPredictor,
        features: Features,
        square: UInt8[Tensor, "S S 3"],
        *,
        picture: Picture | None = None,
        resume: Mapping[str, Any] | None = None,
    ) -> None:
        if len(features) != 1:
            raise UserError(f"a session is about one picture, got features of {len(features)}")
        self.predictor, self.features, self.square, self.picture = predictor, features, square, picture
        self._history = KnownHistory(predictor.labels)
        if resume is not None:
            self._resume(resume)

    # ------------------------------------------------------------ known labels

    @property
    def labels(self) -> LabelSpace:
        """The model's labels."""
        return self.predictor.labels

    @property
    def known(self) -> dict[str, bool]:
        """The known labels (a copy)."""
        return dict(self._history.known)

    @property
    def states(self) -> Int[Tensor, " L"]:
        """The known labels as :class:`~ctran.labels.LabelState` codes."""
        return self.labels.states(self._history.known)

    def tell(self, known: Known) -> "Session":
        """Add known labels. An earlier entry for the same label is replaced; a label that becomes present also removes another
        present label of its exclusive group.

        Raises:
            UnknownLabelError, ValueError: as :meth:`~ctran.labels.LabelSpace.states`; the session is then unchanged.
        """
        self._history.add(known)
        return self

    def forget(self, *names: str) -> "Session":
        """Make labels unknown again; all of them without a name. Labels that are not known are ignored."""
        self._history.remove(names)
        return self

    def undo(self) -> "Session":
        """Undo the last :meth:`tell` or :meth:`forget`; does nothing where none is left."""
        self._history.undo()
        return self

    def given(self, known: Known) -> "Session":
        """Another session about the same picture with only these known labels; it is not encoded again."""
        other = Session(self.predictor, self.features, self.square, picture=self.picture)
        return other.tell(known)

    def as_dict(self) -> dict[str, Any]:
        """Plain data: the known labels, the history for :meth:`undo`, and digests of picture and labels."""
        return {"format": FORMAT, **self._digests(), "known": self.known, "past": [dict(p) for p in self._history.past]}

    def _resume(self, content: Mapping[str, Any]) -> None:
        if not isinstance(content, Mapping) or not {"format", "known", "past"} <= set(content):
            raise UserError("resume: expected what Session.as_dict gave, with format, known and past")
        if content["format"] != FORMAT:
            raise UserError(f"a session of format {content.get('format')!r}, expected {FORMAT}; upgrade ctran")
        for what, digest in self._digests().items():
            if content.get(what) != digest:
                raise UserError(f"the session is about another {what}: {content.get(what)!r}, this one's is {digest!r}")
        self._history.restore(content["known"], content["past"])

    def _digests(self) -> dict[str, str]:
        parts = {"picture": self.square.numpy().tobytes(), "labels": "\0".join(self.labels.names).encode()}
        return {name: hashlib.sha256(content).hexdigest()[:24] for name, content in parts.items()}

    # ------------------------------------------------------------ predictions

    def marginals(self, states: Int[Tensor, "R L"]) -> Float[Tensor, "R L"]:
        """Probability of each label in each row of states."""
        return self.predictor.marginals(self.features, states)

    def predict(self, known: Known | None = None, *, threshold: Threshold = None) -> Prediction:
        """The prediction given the known labels and, in this call only, ``known`` as well.

        Args:
            threshold: as in :meth:`~ctran.inference.predictor.Predictor.predict`.
        """
        merged = self._history.with_added(known or {})
        return self.predictor.predictions(self.features, [merged], threshold=threshold)[0]

    def what_if(self, name: str, present: bool | np.bool_) -> dict[str, Change]:
        """Changes of the other labels if this one were known to be present, or absent; the greatest first."""
        now, then = self._history.with_added({}), self._history.with_added({name: present})
        before, after = self.marginals(torch.stack([self.labels.states(now), self.labels.states(then)]))
        targets = [(n, i) for i, n in enumerate(self.labels.names) if self.labels.targets[i] and n not in then]
        changes = {n: Change(float(before[i]), float(after[i])) for n, i in targets}
        return dict(sorted(changes.items(), key=lambda item: -abs(item[1].difference)))

    def ask(
        self,
        k: int = 5,
        *,
        policy: Policy = "total",
        costs: Mapping[str, float] | None = None,
        within: Sequence[str] | None = None,
        most: int = 64,
        generator: torch.Generator | None = None,
    ) -> list[Question]:
        """Which labels to verify next; arguments as in :func:`ctran.inference.acquisition.ask`."""
        return acquisition.ask(
            self.marginals,
            self.labels,
            self.states,
            k=k,
            policy=policy,
            costs=costs,
            within=within,
            most=most,
            generator=generator,
        )

    def sample(self, count: int = 1, *, generator: torch.Generator, at_once: int = 1) -> list[LabelSet]:
        """Sample whole label sets; see :func:`ctran.inference.sets.sample`.

        Needs a model that was trained at every share of known labels (``training.unknown_share: [0, 1]``).
        """
        full, log = sets.sample(self.marginals, self.labels, self.states, count=count, generator=generator, at_once=at_once)
        return [self._set(row, float(each)) for row, each in zip(full, log, strict=True)]

    def most_likely(self) -> LabelSet:
        """One whole label set, the most certain label first; see :func:`ctran.inference.sets.most_likely`."""
        full, log = sets.most_likely(self.marginals, self.labels, self.states)
        return self._set(full, log)

    def log_likelihood(self, present: Sequence[str], *, orders: int = 8, generator: torch.Generator) -> float:
        """Log-likelihood, in nats, that exactly these labels are present, given the known ones; mean over random orders.

        Args:
            present: names; all other labels are absent.
        """
        full = torch.full((len(self.labels),), int(LabelState.NEGATIVE))
        for name in present:
            full[self.labels.index(name)] = LabelState.POSITIVE
        return sets.log_likelihood(self.marginals, self.labels, self.states, full, orders=orders, generator=generator)

    def _set(self, full: Int[Tensor, " L"], log: float) -> LabelSet:
        present = (full == LabelState.POSITIVE).tolist()
        return LabelSet(tuple(name for name, is_present in zip(self.labels.names, present, strict=True) if is_present), log)

    # ------------------------------------------------------------ which places matter

    def heatmap(self, name: str) -> Float[np.ndarray, "h w"]:
        """How much each place of the picture supports a label (positive) or opposes it (negative), given the other known
        labels.

        :meth:`contributions` in finer detail, for display. Where the grid of image tokens is coarse, they are computed at twice
        the size, weighted by how probable the label is in the parts of the picture around each place; that takes a few tenths
        of a second. Rows and columns divide :attr:`square` evenly.

        Raises:
            UnknownLabelError: no such label.
            UserTypeError: the model has no heat map (:attr:`ctran.inference.encoded.EncodedPredictor.shows_heatmap`).
            UserError: an extra label, which is not predicted; or the picture's file has changed.
        """
        label, predictor = self.labels.index(name), self.predictor
        return predictor.heatmap(self._enlarged(), self.states, label, window=self.features.grid).numpy()

    def contributions(self, name: str) -> Float[np.ndarray, "h w"]:
        """What each image token adds to the log-odds of a label, given the other known labels; exact, and one value a token.

        They sum to the log-odds that the model predicts (before exclusive groups) minus those without a picture. Raises as
        :meth:`heatmap`.
        """
        return self.predictor.heatmap(self.square, self.states, self.labels.index(name)).numpy()

    def _enlarged(self) -> UInt8[Tensor, "D D 3"]:
        factor = enlargement(self.predictor.model, self.features.grid) if self.predictor.shows_heatmap else 1
        return enlarged(self.predictor.preprocessing, self.square, self.picture, factor)

    def attention(self, name: str) -> Float[np.ndarray, "layers h w"]:
        """Attention of a label's token to each image token, mean over the heads, layer by layer.

        For research: attention does not explain a prediction (``docs/experiments/heatmaps.md``); use :meth:`heatmap` for that.
        The weights of a layer sum to the share of attention that goes to the picture; the rest goes to labels.

        Raises:
            UnknownLabelError: no such label.
            TypeError: the model has no attention to a picture.
        """
        maps = self._maps()[:, self.features.tokens.shape[1] + self.labels.index(name), : self.features.tokens.shape[1]]
        return maps.reshape(len(maps), *self.features.grid).numpy()

    def label_attention(self) -> Float[np.ndarray, "layers L L"]:
        """Attention of each label token (row) to each label token, mean over the heads, layer by layer."""
        return self._maps()[:, -len(self.labels) :, -len(self.labels) :].numpy()

    def _maps(self) -> Float[Tensor, "layers N N"]:
        return self.predictor.attention(self.features, self.states)
