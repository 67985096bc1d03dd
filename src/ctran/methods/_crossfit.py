"""Cross-fitting: an anchor's logits of pictures that it was not trained on."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from ctran.labels import LabelState
from ctran.losses._base import LabelLoss


class CrossFit(nn.Module):
    """``K`` copies of an anchor; copy ``k`` is trained without the pictures of index ``k`` modulo ``K``.

    A linear layer on 1,280 features nearly memorises a few thousand training pictures, so an encoder trained on top of its
    logits learns to change little. With the logits of the copy that was not trained on the picture, it learns from the same
    uncertainty as on new pictures. The copies are discarded after training.

    Source: Wolpert, Stacked generalization, Neural Networks 5 (1992); cross-fitting in Chernozhukov et al. (2018).

    Args:
        anchor: ``C`` features to ``L`` labels; the copies start from its weights.
        folds: ``K``, at least 2.
        dropout: on the features, in training.
    """

    part = "anchor"
    """Part of the model whose learning rate and weight decay the copies have."""

    def __init__(self, anchor: nn.Linear, *, folds: int, dropout: float) -> None:
        super().__init__()
        self.folds, self.dropout = folds, dropout
        self.copies = nn.Linear(anchor.in_features, folds * anchor.out_features)
        self.copies.weight.data = anchor.weight.data.repeat(folds, 1)
        self.copies.bias.data = anchor.bias.data.repeat(folds)

    def logits(self, pooled: Float[Tensor, "B C"]) -> Float[Tensor, "B K L"]:
        """Logits of every copy."""
        return self.copies(pooled).unflatten(1, (self.folds, -1))

    def loss(
        self,
        pooled: Float[Tensor, "B C"],
        truth: Int[Tensor, "B L"],
        index: Int[Tensor, " B"],
        criterion: LabelLoss,
        *,
        epoch: int = 0,
    ) -> Float[Tensor, ""]:
        """Loss over pictures and labels, summed over the copies that are trained on a picture.

        Args:
            index: row of each picture in the training table; ``index mod K`` is the copy that is not trained on it.
            criterion: the loss; the same as for the anchor.
            epoch: of the training, from 0.
        """
        logits = self.logits(F.dropout(pooled, self.dropout, self.training))
        trained_on = torch.arange(self.folds, device=index.device) != (index % self.folds)[:, None]  # (B, K)
        repeated = truth[:, None].expand(-1, self.folds, -1)[trained_on]
        nothing = torch.full_like(repeated, int(LabelState.UNKNOWN))
        rows = index[:, None].expand(-1, self.folds)[trained_on]
        copies = self.folds - 1 if criterion.reduction == "mean" else 1
        return copies * criterion(logits[trained_on], repeated, nothing, epoch=epoch, index=rows)

    @torch.no_grad()
    def held_out(self, pooled: Float[Tensor, "B C"], index: Int[Tensor, " B"]) -> Float[Tensor, "B L"]:
        """Logits of each picture by the copy that is not trained on it."""
        return self.logits(pooled)[torch.arange(len(index), device=index.device), index % self.folds]
