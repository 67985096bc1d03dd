"""Which labels occur together in the training table, and the graphs that methods make of that."""

import torch
from jaxtyping import Float
from torch import Tensor

from ctran.data.table import SampleTable
from ctran.labels import LabelState


def conditional(table: SampleTable) -> Float[Tensor, "L L"]:
    r"""Share of the pictures with label i that have label j too, :math:`P_{ij} = M_{ij} / N_i`, an estimate of p(j | i).

    :math:`M_{ij}` counts pictures in which both are positive, :math:`N_i` those in which i is positive and j is annotated: all
    with i where annotations have no holes, as in the papers. The diagonal is 1; 0 where nothing is counted. Double precision,
    as thresholds are compared with shares such as 0.35.
    """
    size = len(table.labels)
    both, seen = (torch.zeros(size, size, dtype=torch.float64) for _ in range(2))
    for truth in table.assumed.blocks():
        present, known = ((truth == LabelState.POSITIVE).float(), (truth != LabelState.UNKNOWN).float())
        both += present.T @ present
        seen += present.T @ known
    return both / seen.clamp(min=1)


def reweighted(shares: Float[Tensor, "L L"], *, threshold: float, neighbours: float) -> Float[Tensor, "L L"]:
    r"""ML-GCN's correlation matrix, normalised.

    .. math::
        B_{ij} = [P_{ij} \ge \tau], B_{ii} = 0, \quad
        A_{ij} = \frac{p}{1 - p} \frac{B_{ij}}{\sum_k B_{kj}} + [i = j], \quad
        \hat A = D A^\top D, D = \mathrm{diag}(A 1)^{-1/2}.

    The transpose is the released code's: label i receives from j where p(i | j) reaches the threshold.

    Args:
        shares: of :func:`conditional`.
        threshold: :math:`\tau`; rarer co-occurrences are taken as noise.
        neighbours: p; a node's weight from its neighbours, the rest is its own.

    Source: Chen et al., ML-GCN, CVPR 2019, Eq. 7 and 8; Megvii-Nanjing/ML-GCN 5517d6f, where the sum is over columns and the
    factor is written as 0.25.
    """
    edges = (shares >= threshold).double().fill_diagonal_(0)
    weights = edges * (neighbours / (1 - neighbours)) / (edges.sum(dim=0, keepdim=True) + 1e-6)
    weights += torch.eye(len(shares), dtype=torch.float64)
    scale = weights.sum(dim=1).rsqrt()
    return (scale[:, None] * weights.T * scale).float()
