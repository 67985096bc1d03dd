"""C-Tran (Lanchantin et al., CVPR 2021) and its ablations."""

from dataclasses import dataclass, fields

from ctran.bounds import within
from ctran.errors import UserError
from ctran.labels import LabelSpace
from ctran.methods._base import MethodConfig
from ctran.model import Backbone, CTran
from ctran.model.attention import Attention
from ctran.model.encoder import MOST_LATENTS
from ctran.model.positions import Positions

BACKBONE_OPTIONS = {f.name for f in fields(MethodConfig)}
SUMMARY = "C-Tran: image and label tokens in one transformer encoder, labels with states"


@dataclass(frozen=True)
class Config(MethodConfig):
    """C-Tran; the defaults are the paper's (Sec. 3.5).

    Args:
        token_dim: width D of the tokens; null takes the backbone's.
        num_layers: encoder layers.
        num_heads: attention heads.
        dropout: in the encoder.
        positions: none (the paper), or sine: add a fixed code of each image token's place in the grid.
        use_image: false is the paper's ablation "no image" (Table 5).
        use_states: false leaves out the state embeddings, the paper's ablation "no LMT" with unknown_share [1, 1] (Table 5).
        anchored: logits = linear layer on the averaged image features + what image tokens and known labels change in the
            encoder's. Beyond the paper, as are all that follow; see :class:`ctran.model.CTran`.
        soft_states: an unknown label's state is P times the anchor's probability, not 0.
        attention_dropout: false keeps dropout out of the attention weights.
        positive_bias: added to attention scores towards known positive labels, in half of the heads.
        image_bias: added to attention scores towards image tokens.
        token_dropout: share of the image tokens' channels set to zero in training.
        pooled_dropout: the same for the averaged features of the anchor.
        orthogonal: start the attention's matrices orthogonal.
        attention: full (the paper), image_first or latent: who attends to whom; see :class:`ctran.model.encoder.Encoder`.
        num_latents: learned tokens of latent attention, through which labels learn of each other.
    """

    token_dim: int | None = within(None, 1, 65_536)
    num_layers: int = within(3, 1, 256)
    num_heads: int = within(4, 1, 1024)
    dropout: float = within(0.1, 0, 1, below=True)
    positions: Positions = "none"
    use_image: bool = True
    use_states: bool = True
    anchored: bool = False
    soft_states: bool = False
    attention_dropout: bool = True
    positive_bias: float = within(0.0)
    image_bias: float = within(0.0)
    token_dropout: float = within(0.0, 0, 1, below=True)
    pooled_dropout: float = within(0.0, 0, 1, below=True)
    orthogonal: bool = False
    attention: Attention = "full"
    num_latents: int = within(64, 1, MOST_LATENTS)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.token_dim is not None and self.token_dim % self.num_heads:
            raise UserError(
                f"model.num_heads must divide model.token_dim, got {self.num_heads} heads and {self.token_dim} channels"
            )
        if self.token_dim is not None and self.positions == "sine" and self.token_dim % 4:
            raise UserError(f"model.positions sine needs a model.token_dim that is a multiple of 4, got {self.token_dim}")


def build(config: Config, labels: LabelSpace) -> CTran:
    """The model with random weights."""
    options = {f.name: getattr(config, f.name) for f in fields(Config) if f.name not in BACKBONE_OPTIONS}
    return CTran(Backbone(config.backbone, config.image_size), num_labels=len(labels), **options)
