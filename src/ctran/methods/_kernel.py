"""Similarities to training pictures as inputs of a regression: a kernel method in place of a linear layer."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ctran.data.loading import seed_of

Kernel = Literal["none", "gaussian"]
"""Inputs of the image's regression: averaged features as they are, or their similarities to training pictures."""
LANDMARKS = 2048
"""Most training pictures that a picture is compared with."""
NORM = 30.0
"""Root of the mean square norm of the inputs, about that of standardised features: the same penalties suit both."""


class Landmarks(nn.Module):
    r"""Gaussian similarity of a picture to each of ``M`` training pictures,

    .. math:: k_m(x) = \exp(-\lVert x - c_m \rVert^2 / w)

    of standardised features ``x``. ``w`` is the median squared distance between two landmarks. All training pictures are
    landmarks, or a random :data:`LANDMARKS` of them (Nyström's approximation: Williams and Seeger, NIPS 2000).

    Args:
        channels: of the features.
    """

    mean: Tensor
    scale: Tensor
    points: Tensor
    rate: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(channels))
        self.register_buffer("points", torch.zeros(1, channels))  # as many as are fitted or loaded
        self.register_buffer("rate", torch.zeros(()))

    def fit(self, rows: Float[Tensor, "N C"], mean: Float[Tensor, " C"], scale: Float[Tensor, " C"], seed: int) -> None:
        """Choose the landmarks.

        Args:
            rows: features of the training pictures.
            mean, scale: shift and factor that standardise them.
            seed: of the choice.
        """
        chosen = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed_of(seed, 24)))[:LANDMARKS].sort().values
        self.mean, self.scale = mean, scale
        self.points = (rows[chosen] - mean) * scale
        distances = torch.pdist(self.points[:: -(-len(chosen) // 512)])  # of 512 at most: their median hardly varies
        width = float(distances.square().median()) if len(distances) else 0.0
        self.rate = torch.tensor(1 / width if width > 0 else 0.0)

    def forward(self, features: Float[Tensor, "B C"]) -> Float[Tensor, "B M"]:
        """Similarities, from 0 to 1."""
        return self._similarities((features - self.mean) * self.scale)

    def among(self) -> Float[Tensor, "M M"]:
        """Similarities of the landmarks to each other."""
        return self._similarities(self.points)

    def _similarities(self, x: Float[Tensor, "B C"]) -> Float[Tensor, "B M"]:
        """Of standardised features."""
        squares = x.square().sum(dim=1, keepdim=True) + self.points.square().sum(dim=1) - 2 * x @ self.points.T
        return torch.exp(-self.rate * squares.clamp(min=0))


@dataclass(frozen=True)
class Whiten:
    """From similarities to coordinates in which the kernel is a scalar product, so that a ridge penalty is the kernel's.

    Args:
        projection: coordinates of a row of similarities.
        mean: of the coordinates of the training pictures.
    """

    projection: Float[Tensor, "M R"]
    mean: Float[Tensor, " R"]

    @classmethod
    def of(cls, rows: Float[Tensor, "N M"], landmarks: Float[Tensor, "M M"]) -> "Whiten":
        """From similarities of the training pictures, and of the landmarks to each other."""
        values, basis = torch.linalg.eigh(landmarks.double())
        kept = values > 1e-6 * values[-1]
        projection = (basis[:, kept] / values[kept].sqrt()).to(rows.dtype)
        inputs = rows @ projection
        spread = float((inputs - inputs.mean(dim=0)).square().sum(dim=1).mean().sqrt())
        projection *= NORM / spread if spread > 1e-6 else 0.0  # pictures that all look alike
        return cls(projection, (rows @ projection).mean(dim=0))

    def __call__(self, rows: Float[Tensor, "*N M"]) -> Float[Tensor, "*N R"]:
        return rows @ self.projection - self.mean

    def fold(self, weight: Float[Tensor, "L R"], bias: Float[Tensor, " L"]) -> tuple[Float[Tensor, "L M"], Float[Tensor, " L"]]:
        """Weights and biases for similarities as they come, from those for the coordinates."""
        return weight @ self.projection.T, bias - weight @ self.mean
