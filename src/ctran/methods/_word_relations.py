"""Relations between labels: by WordNet, or by the implications of the label space."""

from collections.abc import Mapping

import torch
from jaxtyping import Bool
from torch import Tensor

from ctran.errors import UserError
from ctran.labels import LabelSpace
from ctran.methods._wordnet import Nouns

RELATIONS = ("super", "sub", "positive", "negative")
"""Of a pair of labels: the receiver is a kind of the sender, the reverse; they are alike; they are not alike at all."""
SHOWN = 10
"""Labels that an error names."""


def relations(
    labels: LabelSpace, nouns: Nouns | None, senses: Mapping[str, str], bounds: tuple[float, float]
) -> Bool[Tensor, "4 L L"]:
    """Which label (last axis) sends to which (the axis before it) by each of :data:`RELATIONS`.

    Args:
        nouns: of WordNet; None takes the implications of the label space as ``super`` and ``sub``, and nothing else.
        senses: label -> name of its sense, ``none`` for a label without relations; of other labels, the first of their name.
        bounds: similarities below the first are negative, from the second on positive.

    Raises:
        UserError: labels without a sense; the message lists them.
    """
    size = len(labels)
    found = torch.zeros(len(RELATIONS), size, size, dtype=torch.bool)
    is_kind, is_above, alike, unlike = found
    if nouns is None:
        for child, parent in labels.implied.tolist():
            is_kind[child, parent] = is_above[parent, child] = True
        return found
    known = _senses(labels, nouns, senses)
    least, most = bounds
    for to, mine in known.items():
        for sender, other in known.items():
            if to == sender:
                continue
            is_kind[to, sender] = mine != other and other in nouns.ancestors(mine)
            is_above[to, sender] = mine != other and mine in nouns.ancestors(other)
            similarity = nouns.similarity(mine, other)
            alike[to, sender], unlike[to, sender] = similarity >= most, similarity < least
    return found


def _senses(labels: LabelSpace, nouns: Nouns, given: Mapping[str, str]) -> dict[int, int]:
    """Index of a label -> its sense, without labels that have none on purpose."""
    for label in given:
        labels.index(label)  # raises for a label that is not there
    named = {i: given.get(name, name) for i, name in enumerate(labels.names)}
    found = {i: nouns.sense(name) for i, name in named.items() if given.get(labels.names[i]) != "none"}
    if missing := [labels.names[i] for i, sense in found.items() if sense is None]:
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        raise UserError(
            f"model.wordnet: WordNet has no noun for {', '.join(missing[:SHOWN])}{more}. Name senses with model.synsets, such "
            "as 'stop sign=stop.n.05', or none for a label without relations ('LABEL=none')"
        )
    return {i: sense for i, sense in found.items() if sense is not None}
