"""The two models of the authors' released code: what distinguishes them, and what each takes as input.

Names and quirks are in docs/authors-checkpoints.md. Source: github.com/QData/C-Tran.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ctran.errors import UserError
from ctran.images.transforms import Preprocessing
from ctran.labels import LabelSpace

ATTRIBUTES, CLASSES = 112, 200
"""Of the CUB model."""


@dataclass(frozen=True)
class Released:
    """One of the two models of the released code.

    Args:
        title: its name in messages.
        backbone: timm's name of its network; timm's tensors have the names and shapes of the released ones.
        unused: name and shape of the tensors that its logits do not depend on.
        left_out: what these are, in words.
        preprocessing: its test transform, as near as :class:`~ctran.images.transforms.Preprocessing` comes.
    """

    title: str
    backbone: str
    unused: Mapping[str, tuple[int, ...]]
    left_out: str
    preprocessing: Preprocessing

    def label_names(self, num_labels: int) -> tuple[str, ...]:
        """Placeholder names, as no checkpoint holds names; in CUB's the attributes come first."""
        if self is CUB and num_labels == ATTRIBUTES + CLASSES:
            return (*(f"attribute {i:03}" for i in range(ATTRIBUTES)), *(f"class {i:03}" for i in range(CLASSES)))
        return tuple(f"label {i:03}" for i in range(num_labels))

    def released_order(self, labels: LabelSpace) -> LabelSpace:
        """The labels of the source ``cub312``, which has CUB's classes first, in the released order: attributes, then classes.
        Any other labels as they are."""
        first = labels.names[:CLASSES]
        if self is CUB and len(labels) == ATTRIBUTES + CLASSES and any(group.labels == first for group in labels.groups):
            return replace(labels, names=(*labels.names[CLASSES:], *first))
        return labels

    def check_order(self, labels: LabelSpace) -> None:
        """Refuse names that cannot be in the released order: CUB's 200 classes, where they are a group, must come last.

        Raises:
            ValueError: they do not (``labels.json`` of the source ``cub312`` has them first).
        """
        for group in labels.groups if self is CUB else ():
            first = min(labels.index(name) for name in group.labels)
            if len(group.labels) == CLASSES and first != ATTRIBUTES:
                raise UserError(
                    f"the released order is {ATTRIBUTES} attributes, then {CLASSES} classes, but group {group.name!r} starts "
                    f"at position {first}; give the names in the released order"
                )


def _unit(name: str, *shape: int) -> dict[str, tuple[int, ...]]:
    """Tensors of a convolution without bias and its batch norm."""
    norm = {f"{name}.bn.{part}": shape[:1] for part in ("weight", "bias", "running_mean", "running_var")}
    return {f"{name}.conv.weight": shape, f"{name}.bn.num_batches_tracked": ()} | norm


COCO = Released(
    "COCO-like model (ResNet-101)",
    "resnet101.tv_in1k",
    {"backbone.base_network.fc.weight": (1000, 2048), "backbone.base_network.fc.bias": (1000,)},
    "the backbone's ImageNet classifier",
    Preprocessing(576, "squash", centre=0.9, resample="bilinear"),
)
_AUXILIARY = "backbone.base_network.AuxLogits"
CUB = Released(
    "CUB model (Inception v3)",
    "inception_v3.tv_in1k",
    {"type_lt.weight": (2, 2048), f"{_AUXILIARY}.fc.weight": (312, 768), f"{_AUXILIARY}.fc.bias": (312,)}
    | _unit(f"{_AUXILIARY}.conv0", 128, 768, 1, 1)
    | _unit(f"{_AUXILIARY}.conv1", 768, 128, 5, 5),
    "the auxiliary head (AuxLogits) and the never used type_lt",
    Preprocessing(299, "cut", (0.5, 0.5, 0.5), (2.0, 2.0, 2.0), resample="bilinear"),
)
FIRST = {"backbone.base_network.conv1.weight": COCO, "backbone.base_network.Conv2d_1a_3x3.conv.weight": CUB}
"""The first convolution identifies the model."""
