"""What an encoder may have beyond the paper: attention towards known positives, an orthogonal start, less dropout."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ctran.labels import LabelState
from ctran.model.encoder import EncoderLayer


def towards_positive(
    states: Int[Tensor, "R L"], soft: Float[Tensor, "R L"] | None, bias: float, heads: int
) -> Float[Tensor, "R K 1 L"] | float:
    """What is added to the attention scores towards each label: ``bias`` for known positives, in the first half of the heads.

    Args:
        soft: probabilities of unknown labels, which get that share of ``bias``; None for none.
    """
    if not bias:
        return 0.0
    present = (states == LabelState.POSITIVE).float()
    present = present if soft is None else present + soft
    first_half = (torch.arange(heads, device=states.device) < heads / 2)[:, None, None]
    return bias * present[:, None, None, :] * first_half


class Layer(EncoderLayer):
    """An encoder layer that may start orthogonal and keep dropout out of its attention weights."""

    def __init__(self, *, dim: int, num_heads: int, dropout: float, attention_dropout: bool, orthogonal: bool) -> None:
        super().__init__(dim=dim, num_heads=num_heads, dropout=dropout)
        if not attention_dropout:
            self.attention_dropout = 0.0
        if orthogonal:
            for square in (*self.qkv.weight.data.chunk(3), self.out.weight.data):
                nn.init.orthogonal_(square)
