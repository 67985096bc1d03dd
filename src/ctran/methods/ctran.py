"""C-Tran (Lanchantin et al., CVPR 2021) and its ablations."""

from dataclasses import dataclass

from ctran.methods._base import MethodConfig
from ctran.model import Backbone, CTran

SUMMARY = "C-Tran: image and label tokens in one transformer encoder, labels with states"


@dataclass(frozen=True)
class Config(MethodConfig):
    """C-Tran; the defaults are the paper's (Sec. 3.5).

    Args:
        token_dim: width D of the tokens; null takes the backbone's.
        num_layers: encoder layers.
        num_heads: attention heads.
        dropout: in the encoder.
        use_image: false is the paper's ablation "no image" (Table 5).
        pooled_residual: add a linear layer on the averaged image features to the logits. Beyond the paper.
        token_dropout: share of the backbone's channels set to zero in training. Beyond the paper.
    """

    token_dim: int | None = None
    num_layers: int = 3
    num_heads: int = 4
    dropout: float = 0.1
    use_image: bool = True
    pooled_residual: bool = False
    token_dropout: float = 0.0


def build(config: Config, num_labels: int) -> CTran:
    """The model with random weights."""
    return CTran(
        Backbone(config.backbone),
        num_labels=num_labels,
        token_dim=config.token_dim,
        num_layers=config.num_layers,
        num_heads=config.num_heads,
        dropout=config.dropout,
        use_image=config.use_image,
        pooled_residual=config.pooled_residual,
        token_dropout=config.token_dropout,
    )
