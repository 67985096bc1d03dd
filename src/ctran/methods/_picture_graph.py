"""A graph over labels that follows from the picture, of methods with dynamic graph convolutions."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

SLOPE = 0.2
"""Of the leaky ReLU."""


class PictureGraph(nn.Module):
    r"""Weights between labels, from their vectors x and one vector c of the whole picture,

    .. math:: g = \phi(\mathrm{BN}(W c + b)), \qquad A_{ki} = \sigma(u_k \cdot [g; x_i] + a_k)

    with the leaky ReLU :math:`\phi`.

    Args:
        num_labels: ``L``.
        context: width ``E`` of the picture's vector.
        dim: width ``D`` of the labels' vectors.
    """

    def __init__(self, *, num_labels: int, context: int, dim: int) -> None:
        super().__init__()
        self.context = nn.Linear(context, context)
        self.norm = nn.BatchNorm1d(context)
        self.pairs = nn.Linear(context + dim, num_labels)

    def forward(self, context: Float[Tensor, "B E"], x: Float[Tensor, "B L D"]) -> Float[Tensor, "B L L"]:
        """The graph of each picture, transposed: entry ``[i, k]`` is the weight of label k for label i."""
        g = F.leaky_relu(self._normalised(self.context(context)), SLOPE)
        of_context, of_label = self.pairs.weight.split([g.shape[1], x.shape[2]], dim=1)
        return (x @ of_label.T + F.linear(g, of_context, self.pairs.bias)[:, None]).sigmoid()

    def _normalised(self, values: Float[Tensor, "B E"]) -> Float[Tensor, "B E"]:
        norm = self.norm
        if norm.training and len(values) == 1:  # has no variance
            return F.batch_norm(values, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
        return norm(values)
