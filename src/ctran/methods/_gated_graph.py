"""A gated graph network over labels that occur together."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

Gate = Literal["paper", "released"]
"""Which weights the reset gate has for a node's own state; see :class:`GatedGraph`."""


class GatedGraph(nn.Module):
    r"""Gated recurrent units that exchange messages over a weighted graph, the same in each of T steps,

    .. math::
        a &= [P h;\; P^\top h], \\
        z &= \sigma(W_z a + U_z h), \quad r = \sigma(W_r a + U_r h), \\
        \tilde h &= \tanh(W_h a + U_h (r \odot h)), \quad h \leftarrow (1 - z) \odot h + z \odot \tilde h,

    with P of :func:`ctran.methods._label_graph.conditional`, each row times all nodes.

    Args:
        dim: ``D``, of a node.
        steps: T.
        gate: released: :math:`U_r` is :math:`U_z`, as in the released code of SSGRL.

    Source: Li et al., Gated Graph Sequence Neural Networks, ICLR 2016; Chen et al., SSGRL, ICCV 2019, Eq. 6.
    """

    def __init__(self, *, dim: int, steps: int, gate: Gate) -> None:
        super().__init__()
        self.steps, self.gate = steps, gate
        self.messages = nn.Linear(2 * dim, 3 * dim)  # W of z, r and the candidate, below each other
        self.gates = nn.Linear(dim, dim if gate == "released" else 2 * dim)  # U of z, r
        self.candidate = nn.Linear(dim, dim)

    def forward(self, nodes: Float[Tensor, "*B L D"], shares: Float[Tensor, "L L"]) -> Float[Tensor, "*B L D"]:
        """States after the last step, from those before the first."""
        for _ in range(self.steps):
            received = torch.cat([shares @ nodes, shares.T @ nodes], dim=-1)
            update, reset, message = self.messages(received).chunk(3, dim=-1)
            own = self.gates(nodes)
            own_update, own_reset = (own, own) if self.gate == "released" else own.chunk(2, dim=-1)
            z, r = torch.sigmoid(update + own_update), torch.sigmoid(reset + own_reset)
            nodes = (1 - z) * nodes + z * torch.tanh(message + self.candidate(r * nodes))
        return nodes
