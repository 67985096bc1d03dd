"""C-Tran (Lanchantin et al., CVPR 2021) and its ablations."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from ctran.bounds import within
from ctran.errors import UserError
from ctran.labels import LabelSpace
from ctran.methods._about import About
from ctran.methods._base import MethodConfig, backbone_of
from ctran.model import CTran
from ctran.model.positions import Positions
from ctran.model.schemes import Attention
from ctran.model.schemes.latent import MOST_LATENTS

if TYPE_CHECKING:
    from ctran.training.options import Training

SUMMARY = "C-Tran: image and label tokens in one transformer encoder, labels with states"
ABOUT = About(
    source="J. Lanchantin, T. Wang, V. Ordonez, Y. Qi: General Multi-label Image Classification with Transformers, CVPR; "
    "QData/C-Tran 560cf6f",
    year=2021,
    compared="QData/C-Tran 560cf6f: logits differ by at most 2e-5",
)


@dataclass(frozen=True)
class Config(MethodConfig):
    """C-Tran; the defaults are the paper's (Sec. 3.5).

    Args:
        token_dim: width D of the tokens; null takes the backbone's.
        num_layers: encoder layers.
        num_heads: attention heads.
        dropout: in the encoder.
        positions: none (the paper), or sine: add sinusoidal position embeddings to the image tokens.
        use_image: false is the paper's ablation "no image" (Table 5).
        use_states: false leaves out the state embeddings, the paper's ablation "no LMT" with unknown_share [1, 1] (Table 5).
        attention: full (the paper), image_first or latent: which token attends to which; see :mod:`ctran.model.schemes`.
        num_latents: learned tokens of latent attention, through which label tokens attend to each other.
    """

    may_differ = MethodConfig.may_differ | {"dropout"}

    token_dim: int | None = within(None, 1, 65_536)
    num_layers: int = within(3, 1, 256)
    num_heads: int = within(4, 1, 1024)
    dropout: float = within(0.1, 0, 1, below=True)
    positions: Positions = "none"
    use_image: bool = True
    use_states: bool = True
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

    def unused(self, training: "Training") -> Iterator[tuple[str, str]]:
        """Options of other attention, and of image tokens."""
        yield from super().unused(training)
        if self.attention != "latent":
            yield "num_latents", f"model.attention is {self.attention}, and only latent has latents"
        if not self.use_image:
            yield from ((key, "model.use_image is false") for key in ("positions", "inner_maps"))
            if self.attention == "image_first":
                yield "attention", "model.use_image is false, and image_first differs from full in image tokens alone"

    def published_as(self, training: "Training") -> tuple[str, ...]:
        """Layers and ablations."""
        words = [f"{self.num_layers} layers"]
        words += ["no image"] * (not self.use_image) + ["no states"] * (not self.use_states)
        return (*words, *["no label masks"] * (training.unknown_share == (1.0, 1.0)))


OPTIONS = tuple(f.name for f in fields(Config) if f.name not in {f.name for f in fields(MethodConfig)})
"""Names of the options of this method alone; :class:`~ctran.model.CTran` takes them under the same names."""


def build(config: Config, labels: LabelSpace) -> CTran:
    """The model with random weights."""
    options = {name: getattr(config, name) for name in OPTIONS}
    return CTran(backbone_of(config), num_labels=len(labels), **options)
