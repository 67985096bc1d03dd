"""Models that were fitted without some of the training pictures, for what is trained on top of them."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from ctran.methods._fitted import KnownLabelsMethod
from ctran.methods._logistic import linear_logits
from ctran.methods._masked_rows import LabelFit
from ctran.methods._outer import OuterFit
from ctran.progress import track


class HeldOutModels(nn.Module):
    """Pairwise models fitted without some of the training pictures, on top of which encoders are trained and weighed.

    The logits of a model that was fitted to a picture are surer than those of new pictures, so what is trained on top of them
    learns to change little. And a model that has seen the pictures by which an encoder is weighed makes the encoder learn
    the opposite of their chances. So encoder ``e`` has its own models, all fitted without the pictures of fold ``e``, by
    which it is weighed: one to all others for these pictures, and for each of three parts of the others one without that
    part, for the pictures of that part (:class:`ctran.methods._outer.OuterFit`).

    Args:
        numbers: of the model of each encoder and picture.
        weights, biases: linear layer of each model.
        points: weights of known labels of each model, as of :func:`ctran.methods._logistic.fit_logistic`.
        folds: of the training pictures.
    """

    part = ""
    numbers: Tensor
    weights: Tensor
    biases: Tensor
    points: Tensor
    folds: Tensor
    """Not saved: a resumed training computes them again, the same."""

    def __init__(
        self,
        *,
        numbers: Int[Tensor, "E N"],
        weights: Float[Tensor, "M L C"],
        biases: Float[Tensor, "M L"],
        points: Float[Tensor, "M D2 L"],
        folds: Int[Tensor, " N"],
    ) -> None:
        super().__init__()
        for name, tensor in {
            "numbers": numbers,
            "weights": weights,
            "biases": biases,
            "points": points,
            "folds": folds,
        }.items():
            self.register_buffer(name, tensor, persistent=False)

    def logits(
        self,
        model: KnownLabelsMethod,
        encoder: int,
        inputs: Float[Tensor, "B C"],
        states: Int[Tensor, "B L"],
        index: Int[Tensor, " B"],
    ) -> Float[Tensor, "B L"]:
        """Pairwise logits of each picture by the model of an encoder that was fitted without it.

        Args:
            inputs: of the linear layers.
            index: row of each picture in the training table.
        """
        number = self.numbers[encoder, index]
        images, found = (torch.empty_like(states, dtype=inputs.dtype) for _ in range(2))
        for each in number.unique():
            rows = number == each
            images[rows] = F.linear(inputs[rows], self.weights[each], self.biases[each])
        known = model.inputs(images, states)
        for each in number.unique():
            rows = number == each
            found[rows] = linear_logits(known[rows], self.points[each], images[rows])
        return found


def held_out_models(folds: Int[Tensor, " N"], fits: Sequence[OuterFit], how: LabelFit) -> HeldOutModels:
    """The models of some fits, an encoder each.

    Args:
        folds: of :func:`ctran.methods._outer.outer_folds`.
        how: of the weights of known labels.
    """
    numbers = torch.zeros(len(fits), len(folds), dtype=torch.long)
    layers, biases, points = list[Tensor](), list[Tensor](), list[Tensor]()
    for encoder, outer in enumerate(fits):
        images = outer.images
        numbers[encoder, outer.held] = len(points)
        numbers[encoder, ~outer.held] = len(points) + 1 + images.folds
        layers += [images.weight, *images.fold_weights]
        biases += [images.bias, *images.fold_biases]
        parts = range(-1, len(images.fold_weights))  # -1: all
        points += [outer.rows.fit(how, part) for part in track(parts, "fits of known labels", len(parts))]
    return HeldOutModels(
        numbers=numbers, weights=torch.stack(layers), biases=torch.stack(biases), points=torch.stack(points), folds=folds
    )
