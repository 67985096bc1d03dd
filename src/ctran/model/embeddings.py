"""Label and state embeddings (paper, Eq. 1)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from ctran.labels import LabelState


class LabelTokens(nn.Module):
    r"""Label token = label embedding + state embedding (Eq. 1),

    .. math:: \tilde l_i = l_i + s_i, \qquad s_i \in \{U, N, P\},\; U = 0.

    Shapes: ``B`` images, ``L`` labels, ``D`` token width.

    Args:
        num_labels: ``L``, the size of the label space.
        dim: ``D``, the width of the image tokens that these are concatenated with.

    ``U`` is a buffer, not a parameter, so that no optimiser can change it: zero, as in the paper. (The released code fixes
    a random row instead.) Weights start uniform in ``+-1 / sqrt(D)``, as in the released code.

    Source: Lanchantin et al., CVPR 2021, Sec. 3.1.
    """

    unknown: Tensor

    def __init__(self, *, num_labels: int, dim: int) -> None:
        super().__init__()
        self.label = nn.Embedding(num_labels, dim)
        self.known_state = nn.Parameter(torch.empty(2, dim))  # N, P
        self.register_buffer("unknown", torch.zeros(1, dim))
        for weight in (self.label.weight, self.known_state):
            nn.init.uniform_(weight, -(dim**-0.5), dim**-0.5)

    def forward(self, states: Int[Tensor, "B L"]) -> Float[Tensor, "B L D"]:
        """Embed ``states``, one :class:`LabelState` code per label."""
        if states.shape[1] != self.label.num_embeddings:
            raise ValueError(f"expected states of {self.label.num_embeddings} labels, got {states.shape[1]}")
        rows = torch.cat([self.unknown, self.known_state])  # (3, D), in the order of LabelState
        assert LabelState.UNKNOWN == 0
        # F.embedding, not rows[states]: the gradient of indexing is summed in an order that depends on the threads
        return self.label.weight + F.embedding(states, rows)  # (L, D) + (B, L, D)
