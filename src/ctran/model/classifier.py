"""One weight vector and bias per label (paper, Eq. 5)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class LabelClassifier(nn.Module):
    r"""Logit of label i from its own token, :math:`w_i^c \cdot l'_i + b_i` (Eq. 5 before the sigmoid).

    Args:
        num_labels: ``L``.
        dim: ``D``.

    Source: Lanchantin et al., CVPR 2021, Sec. 3.3.
    """

    def __init__(self, *, num_labels: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_labels, dim))
        self.bias = nn.Parameter(torch.zeros(num_labels))
        nn.init.uniform_(self.weight, -(dim**-0.5), dim**-0.5)

    def forward(self, tokens: Float[Tensor, "B L D"]) -> Float[Tensor, "B L"]:
        # not product, then sum: OpenVINO 2026.4 adds wrong biases to that where B > 1
        return torch.einsum("bld,ld->bl", tokens.to(self.weight.dtype), self.weight) + self.bias
