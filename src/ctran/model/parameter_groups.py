"""Which parameters have weight decay, and which a separate learning rate."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from ctran.model.classifier import LabelClassifier
from ctran.model.embeddings import LabelTokens

if TYPE_CHECKING:
    from ctran.training.options import Training


def parameter_groups(
    model: nn.Module, rate_parts: Collection[str], weight_decays: Mapping[str, float], options: "Training"
) -> list[dict[str, Any]]:
    """The parameters that train, as groups for the optimizer: ``params``, ``lr``, ``weight_decay``; for messages, ``part``.

    Norms, biases, and matrices with one row per label or state have no weight decay.

    Args:
        rate_parts: names of the modules of ``model`` that are groups of their own; the backbone's learning rate is that of
            ``training.backbone_learning_rate``, if there is one.
        weight_decays: of those of ``rate_parts`` for which it is not the recipe's.
        options: the recipe's.
    """
    rows = nn.LayerNorm | LabelTokens | LabelClassifier
    undecayed = {id(p) for m in model.modules() if isinstance(m, rows) for p in m.parameters()}
    groups: dict[tuple[str, float], list[nn.Parameter]] = {}
    for name, p in model.named_parameters():
        if not p.requires_grad:
            continue
        part = name.partition(".")[0]
        part = part if part in rate_parts else ""
        decay = weight_decays.get(part, options.weight_decay)
        groups.setdefault((part, decay if p.ndim > 1 and id(p) not in undecayed else 0.0), []).append(p)
    own = options.backbone_learning_rate
    return [
        {
            "params": parameters,
            "lr": own if part == "backbone" and own is not None else options.learning_rate,
            "weight_decay": decay,
            "part": part,
        }
        for (part, decay), parameters in groups.items()
    ]
