r"""Which picture to label next."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ctran.labelling.encoding import rows_of

Order = Literal["order", "unsure", "teaches"]
"""``order``: by name; ``unsure``: the greatest uncertainty; ``teaches``: see :func:`most_informative`."""
MOST = 2000
"""Pictures that are compared: of more, a random sample stands for all."""
SHARP = 0.15
"""Width of the similarity of two pictures, as distance between their unit vectors squared."""


def similarity(a: Float[Tensor, "A W"], b: Float[Tensor, "B W"]) -> Float[Tensor, "A B"]:
    """From 0 to 1, by the distance of unit vectors; 0 of a picture without a vector."""
    close = (((a @ b.T) - 1) / SHARP).exp()
    return close * (a.any(dim=1)[:, None] & b.any(dim=1)[None])


def most_informative(
    open_: Float[Tensor, "N W"], labelled: Float[Tensor, "M W"], uncertainty: Float[Tensor, " N"]
) -> Float[Tensor, " N"]:
    r"""How much labelling each picture is expected to tell about those that are open, itself among them.

    .. math:: g_i = \sum_j H_j \, \max(0, \mathrm{sim}(i, j) - \max_{m} \mathrm{sim}(m, j))

    with the uncertainty ``H`` of each open picture and labelled pictures ``m``: uncertain pictures that are like many other
    uncertain ones, and unlike all that are labelled, come first (a facility location weighted by information).

    Source: G. Nemhauser, L. Wolsey, M. Fisher, Mathematical Programming 14, 1978 (greedy choice); K. Wei, R. Iyer, J. Bilmes,
    ICML 2015 (facility location with uncertainty for choosing what to annotate).
    """
    covered = similarity(open_, labelled).amax(dim=1) if len(labelled) else open_.new_zeros(len(open_))
    gain = (similarity(open_, open_) - covered[None]).clamp(min=0)
    return gain @ uncertainty.to(gain.dtype)


def next_picture(
    order: Order,
    candidates: Sequence[str],
    labelled: Sequence[str],
    vectors: Mapping[str, Float[Tensor, " W"]],
    uncertainty: Mapping[str, float],
    seed: int = 0,
) -> str | None:
    """The picture to label next; None where no candidate is left.

    Args:
        candidates: names of the pictures to choose from, in their order.
        labelled: names of those that have labels.
        vectors: of the pictures that are encoded (:class:`ctran.labelling.encoding.Encoder`).
        uncertainty: of each candidate, in nats; without a model empty, and all count alike.
    """
    if not candidates or order == "order":
        return next(iter(candidates), None)
    if order == "unsure" and uncertainty:
        return max(candidates, key=lambda name: uncertainty.get(name, 0.0))
    generator = torch.Generator().manual_seed(seed)

    def sample(names: Sequence[str]) -> list[str]:
        chosen: list[int] = torch.randperm(len(names), generator=generator)[:MOST].sort().values.tolist()
        return [names[i] for i in chosen]

    encoded = sample([name for name in candidates if name in vectors])
    if not encoded:
        return candidates[0]
    weights = torch.tensor([uncertainty.get(name, 1.0) for name in encoded])
    gain = most_informative(rows_of(vectors, encoded), rows_of(vectors, sample(labelled)), weights)
    return encoded[int(gain.argmax())]
