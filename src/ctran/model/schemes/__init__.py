"""Attention schemes: which token attends to which. One file each; a new one needs a file and a line here."""

from typing import Literal

from ctran.model.encoder import Encoder
from ctran.model.schemes.full import FullEncoder
from ctran.model.schemes.image_first import ImageFirstEncoder
from ctran.model.schemes.latent import LatentEncoder

Attention = Literal["full", "image_first", "latent"]
"""Names in recipes; ``full`` is the paper's."""

ENCODERS: dict[str, type[Encoder]] = {"full": FullEncoder, "image_first": ImageFirstEncoder, "latent": LatentEncoder}
