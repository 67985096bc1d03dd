r"""C-Tran on one page: the paper's formulas in their order, with PyTorch's own modules.

Lanchantin, Wang, Ordonez, Qi: General Multi-label Image Classification with Transformers, CVPR 2021, Sec. 3. Float32, all
tokens through all layers, nothing cached; the library does not import it. ``tests/model/test_reference.py`` shows that
:class:`ctran.model.CTran` computes the same logits and gradients, and ``benchmarks/`` how much faster.

Shapes: ``B`` images, ``P`` image tokens, ``L`` labels, ``N = P + L`` tokens, ``D`` token width, ``K`` heads.
States: 0 unknown, 1 negative, 2 positive.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

UNKNOWN, NEGATIVE, POSITIVE = 0, 1, 2


class ReferenceLayer(nn.Module):
    """Eq. 2-4 with residual connections, dropout and LayerNorm after each half (Sec. 3.5)."""

    def __init__(self, dim: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(dim, num_heads, dropout=dropout, batch_first=True)  # W^q, W^k, W^v
        self.wide = nn.Linear(dim, dim)  # W^r, b_1
        self.narrow = nn.Linear(dim, dim)  # W^o, b_2
        self.norm_attention, self.norm_network = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: Float[Tensor, "B N D"]) -> tuple[Float[Tensor, "B N D"], Float[Tensor, "B N N"]]:
        """Updated tokens, and the attention weights averaged over the heads (which the released code returns)."""
        # Eq. 2: alpha_ij = softmax_j((W^q h_i)^T (W^k h_j) / sqrt(d));  Eq. 3: mean of W^v h_j, weighted by alpha_ij
        mixed, alpha = self.attention(h, h, h, need_weights=True, average_attn_weights=True)
        h = self.norm_attention(h + self.dropout(mixed))
        # Eq. 4: h'_i = ReLU(h_i W^r + b_1) W^o + b_2
        inner = self.dropout(F.relu(self.wide(h)))
        return self.norm_network(h + self.dropout(self.narrow(inner))), alpha


class Reference(nn.Module):
    """The paper's model.

    Args:
        backbone: images ``[B, 3, H, W]`` -> feature maps ``[B, C, h, w]``; ResNet-101 in the paper, ``C = 2048``.
        channels: ``C``.
        num_labels: ``L``.
        dim: ``D``; where it is not ``C`` a linear map narrows the image tokens (Sec. 4.4).
        num_layers, num_heads, dropout: of the encoder (Sec. 3.5).
    """

    def __init__(
        self,
        backbone: nn.Module,
        channels: int,
        num_labels: int,
        *,
        dim: int = 2048,
        num_layers: int = 3,
        num_heads: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.shrink = nn.Identity() if dim == channels else nn.Linear(channels, dim)
        self.label = nn.Embedding(num_labels, dim)  # l_i
        self.state = nn.Embedding(3, dim, padding_idx=UNKNOWN)  # s_i: the row of 'unknown' is zero and stays so
        self.norm = nn.LayerNorm(dim)
        self.layers = nn.ModuleList(ReferenceLayer(dim, num_heads, dropout) for _ in range(num_layers))
        self.readout = nn.Linear(dim, num_labels)  # w_i^c, b_i

    def encode_images(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B P C"]:
        """Image features Z: one token per place of the backbone's last map (Sec. 3.1)."""
        return self.backbone(images).flatten(2).transpose(1, 2)

    def encode_labels(self, states: Int[Tensor, "B L"]) -> Float[Tensor, "B L D"]:
        """Eq. 1: a label's token is its embedding plus that of its state."""
        names = torch.arange(states.shape[1], device=states.device).expand_as(states)
        return self.label(names) + self.state(states)

    def predict_labels(self, tokens: Float[Tensor, "B P C"], states: Int[Tensor, "B L"]) -> Float[Tensor, "B L"]:
        """Logits of all labels from image tokens and states."""
        h = self.norm(torch.cat([self.shrink(tokens), self.encode_labels(states)], dim=1))  # H = {z_1..z_P, l_1..l_L}
        maps = []  # returned by the released code, so they live until the end
        for layer in self.layers:
            h, alpha = layer(h)
            maps.append(alpha)
        # Eq. 5: y_i = sigmoid(w_i^c . l'_i + b_i); as in the released code, the diagonal of L x L values
        return self.readout(h[:, -states.shape[1] :]).diagonal(dim1=1, dim2=2)

    def forward(self, images: Float[Tensor, "B 3 H W"], states: Int[Tensor, "B L"]) -> Float[Tensor, "B L"]:
        """Logits from images."""
        return self.predict_labels(self.encode_images(images), states)


def mask_labels(truth: Int[Tensor, "B L"], generator: torch.Generator, least: float = 0.25) -> Int[Tensor, "B L"]:
    """Label mask training (Sec. 3.4): between ``least L`` and ``L`` random labels become unknown, the others are given."""
    labels = truth.shape[1]
    hidden = torch.randint(math.ceil(least * labels), labels + 1, (len(truth), 1), generator=generator)
    order = torch.rand(truth.shape, generator=generator).argsort(dim=1).argsort(dim=1)
    return truth.masked_fill(order < hidden, UNKNOWN)


def loss(logits: Float[Tensor, "B L"], truth: Int[Tensor, "B L"], states: Int[Tensor, "B L"]) -> Float[Tensor, ""]:
    """Eq. 6: binary cross-entropy over the labels that are unknown to the model (mean; the released code sums)."""
    unknown = states == UNKNOWN
    each = F.binary_cross_entropy_with_logits(logits, (truth == POSITIVE).to(logits.dtype), reduction="none")
    return each[unknown].mean()
