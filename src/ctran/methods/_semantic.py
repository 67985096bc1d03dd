"""Semantic decoupling: a feature vector of a picture for each label, attended to by the label's word vector."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

AT_ONCE = 2**22
"""Values (places x labels x width) of one picture that are computed at once."""


def pooled_cells(tokens: Float[Tensor, "B P C"], grid: tuple[int, int]) -> Float[Tensor, "B Q C"]:
    """Image tokens averaged two by two; at the end of an odd row or column over the cells that there are."""
    maps = tokens.transpose(1, 2).unflatten(2, grid)
    return F.avg_pool2d(maps, 2, ceil_mode=True, count_include_pad=False).flatten(2).transpose(1, 2)


class SemanticDecoupling(nn.Module):
    r"""Features of label c, a mean of the image tokens weighted by how they fit its word vector,

    .. math::
        s_{cp} = u \cdot \tanh\bigl((W_1 f_p) \odot (W_2 v_c)\bigr), \qquad
        f_c = \sum_p \mathrm{softmax}_p(s_{cp})\, f_p.

    The published network has two linear layers in the place of u, 1024 x 1024 and 1024 x 1, without a function between them:
    their product is u, and its bias is lost in the softmax. u starts with the spread of that product.

    Labels are computed in parts, so that no tensor has places x labels x channels; of several parts, gradients are computed
    part by part where :attr:`checkpointed`.

    Args:
        channels: ``C``, of the image tokens.
        word_dim: ``W``, of the word vectors.
        dim: of the space in which they are compared.

    Source: Chen et al., SSGRL, ICCV 2019, Eq. 1 to 4; HCPLab-SYSU/SSGRL ea47ccb.
    """

    def __init__(self, *, channels: int, word_dim: int, dim: int) -> None:
        super().__init__()
        self.image = nn.Linear(channels, dim, bias=False)
        self.word = nn.Linear(word_dim, dim, bias=False)
        self.score = nn.Parameter(torch.empty(dim))
        nn.init.normal_(self.score, std=dim**-0.5 / 3)
        self.checkpointed = False

    def attention(self, tokens: Float[Tensor, "B P C"], words: Float[Tensor, "L W"]) -> Float[Tensor, "B L P"]:
        """Weights of the tokens for each label; they sum to 1."""
        image, word = self.image(tokens), self.word(words)
        parts = word.split(max(1, AT_ONCE // (tokens.shape[1] * word.shape[1])))
        return torch.cat([self._scores_of(image, part) for part in parts], dim=1).softmax(dim=2)

    def _scores_of(self, image: Float[Tensor, "B P d"], word: Float[Tensor, "l d"]) -> Float[Tensor, "B l P"]:
        if self.checkpointed and self.training and torch.is_grad_enabled():
            return checkpoint(self._scores, image, word, use_reentrant=False)
        return self._scores(image, word)

    def _scores(self, image: Float[Tensor, "B P d"], word: Float[Tensor, "l d"]) -> Float[Tensor, "B l P"]:
        return torch.tanh(image[:, None] * word[:, None]) @ self.score

    def forward(self, tokens: Float[Tensor, "B P C"], words: Float[Tensor, "L W"]) -> Float[Tensor, "B L C"]:
        return self.attention(tokens, words) @ tokens
