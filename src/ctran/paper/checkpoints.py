"""The authors' checkpoints: the tensor names of the released code, and which of our tensors each one is.

Names, shapes and quirks are in docs/authors-checkpoints.md. Source: github.com/QData/C-Tran, ``models/`` and
``utils/logger.py``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from ctran.model.ctran import CTran
from ctran.model.pretrained import WeightsError, read_state_dict
from ctran.paper.released_models import FIRST, Released

LABELS = "label_lt.weight"
STATES = "known_label_lt.weight"
ROWS = {"labels.unknown": slice(0, 1), "labels.known_state": slice(1, 3)}
"""Our two tensors in the released state embedding: the released code turns mask values -1, 0, 1 into rows 0, 1, 2."""

PARTS = {
    "backbone.network.": "backbone.base_network.",
    "labels.label.": "label_lt.",
    "encoder.norm.": "LayerNorm.",
    "classifier.": "output_linear.",
}
_IN_LAYER = {
    "qkv.weight": "self_attn.in_proj_weight",
    "qkv.bias": "self_attn.in_proj_bias",
    "out.weight": "self_attn.out_proj.weight",
    "out.bias": "self_attn.out_proj.bias",
    "wide.weight": "linear1.weight",
    "wide.bias": "linear1.bias",
    "narrow.weight": "linear2.weight",
    "narrow.bias": "linear2.bias",
    "norm_attention.weight": "norm1.weight",
    "norm_attention.bias": "norm1.bias",
    "norm_network.weight": "norm2.weight",
    "norm_network.bias": "norm2.bias",
}


class Figure:
    """Replaces NumPy's scalars (``valid_mAP``, ``test_mAP``) that the released code saves beside the weights: they are not
    needed, ``weights_only`` refuses them, and so none of NumPy's own unpickling runs."""

    GLOBALS = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.dtype")

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def released_name(ours: str) -> str:
    """Name in the released code of our tensor ``ours``."""
    if ours in ROWS:
        return STATES
    if (match := re.fullmatch(r"encoder\.layers\.(\d+)\.(\w+\.\w+)", ours)) is not None:
        return f"self_attn_layers.{match[1]}.transformer_layer.{_IN_LAYER[match[2]]}"
    part = next(part for part in PARTS if ours.startswith(part))
    return PARTS[part] + ours.removeprefix(part)


@dataclass(frozen=True)
class Checkpoint:
    """A released state dict and the sizes read from it.

    Args:
        kind: which of the two models.
        weights: released name -> tensor, without ``module.``.
        num_labels, num_layers: read from the tensors.
    """

    kind: Released
    weights: Mapping[str, Tensor]
    num_labels: int
    num_layers: int

    @property
    def dim(self) -> int:
        """Token width ``D``."""
        return self.weights[LABELS].shape[1]

    @property
    def unknown(self) -> Float[Tensor, "1 D"]:
        """The row of 'unknown': random as initialised, as a padding row gets no gradient."""
        return self.weights[STATES][ROWS["labels.unknown"]]

    def fill(self, model: CTran) -> None:
        """Replace all tensors of ``model``, which may be on the meta device, by those of this checkpoint (shared, not copied).

        The row of 'unknown' goes into the buffer, which is not trained. It stays zero where ``model.use_states`` is off: a
        model that was trained without label masks adds no state embedding at all.

        Args:
            model: of this backbone, ``num_labels`` and ``num_layers``, without options beyond the paper.

        Raises:
            WeightsError: missing, unexpected or misshapen tensors, or values that are not finite; ``model`` is unchanged.
        """
        wanted = model.state_dict()
        shapes = {released_name(name): tuple(tensor.shape) for name, tensor in wanted.items() if name not in ROWS}
        width = wanted["labels.unknown"].shape[1]
        self._check({**shapes, STATES: (3, width), **self.kind.unused})
        filled: dict[str, Tensor] = {}
        for name, tensor in wanted.items():
            value = self.weights[released_name(name)]
            filled[name] = value[ROWS[name]].to(tensor.dtype).clone() if name in ROWS else value.to(tensor.dtype)
        if not model.use_states:
            filled["labels.unknown"] = torch.zeros_like(filled["labels.unknown"])
        model.load_state_dict(filled, assign=True)

    def _check(self, expected: Mapping[str, tuple[int, ...]]) -> None:
        title, found = self.kind.title, self.weights
        if missing := [name for name in expected if name not in found]:
            raise WeightsError(
                f"the released {title} has a tensor {missing[0]} of shape {expected[missing[0]]}, "
                f"which is not in the file ({len(missing)} missing in all)"
            )
        if foreign := [name for name in found if name not in expected]:
            raise WeightsError(
                f"the file has a tensor {foreign[0]} of shape {tuple(found[foreign[0]].shape)}, "
                f"which the released {title} does not have ({len(foreign)} too many in all)"
            )
        for name, shape in expected.items():
            if tuple(found[name].shape) != shape:
                raise WeightsError(f"{name}: expected shape {shape}, found {tuple(found[name].shape)}")
            if not found[name].isfinite().all():
                raise WeightsError(f"{name} holds values that are not finite numbers")


def understand(weights: Mapping[str, Tensor]) -> Checkpoint:
    """Identify the released model of a state dict, and its size; :meth:`Checkpoint.fill` checks the rest.

    Args:
        weights: as in the file, with or without the ``module.`` of ``nn.DataParallel``.

    Raises:
        WeightsError: of neither model.
    """
    prefix = "module." if all(str(name).startswith("module.") for name in weights) else ""
    weights = {str(name).removeprefix(prefix): value for name, value in weights.items()}
    kinds = [kind for name, kind in FIRST.items() if name in weights]
    if len(kinds) != 1:
        raise WeightsError(
            f"no checkpoint of the released code: expected exactly one of {' and '.join(FIRST)}, found {len(kinds)}"
        )
    if LABELS not in weights or weights[LABELS].ndim != 2:
        found = tuple(weights[LABELS].shape) if LABELS in weights else "none"
        raise WeightsError(f"no checkpoint of the released code: expected {LABELS} of shape (labels, 2048), found {found}")
    numbers = {int(m[1]) for name in weights if (m := re.match(r"self_attn_layers\.(\d{1,9})\.", name)) is not None}
    if not numbers or numbers != set(range(len(numbers))):
        raise WeightsError(f"expected self_attn_layers.0 and so on without a gap, found numbers {sorted(numbers)}")
    return Checkpoint(kinds[0], weights, weights[LABELS].shape[0], len(numbers))


def read(path: Path) -> Checkpoint:
    """Read ``best_model.pt`` of the released code, or a bare state dict, with ``weights_only=True``.

    Raises:
        WeightsError: not readable safely, or not a checkpoint of the released code; the message names ``path``.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file")
    with torch.serialization.safe_globals([(Figure, name) for name in Figure.GLOBALS]):
        weights = read_state_dict(path)
    try:
        return understand(weights)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None
