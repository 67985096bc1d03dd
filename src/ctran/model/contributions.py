"""What each image token adds to a label's logit, by integrated gradients."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

STEPS = 8
"""Points on the path of the integral (Gauss-Legendre: exact for polynomials of degree 15)."""

Logits = Callable[[Float[Tensor, "B P C"]], Float[Tensor, " B"]]
"""Image tokens of ``B`` pictures -> one logit each."""


def contributions(
    logits: Logits, tokens: Float[Tensor, "B P C"], blank: Float[Tensor, " B"], *, steps: int = STEPS
) -> Float[Tensor, "B P"]:
    r"""How much each of ``P`` image tokens :math:`z_p` adds to a logit :math:`f(z)`, compared with no picture at all,

    .. math::
        c_p = \frac{f(\bar z, \dots, \bar z) - f_0}{P}
            + (z_p - \bar z) \cdot \int_0^1 \frac{\partial f}{\partial z_p} \big(\bar z + t (z - \bar z)\big)\, dt, \qquad
        \sum_p c_p = f(z) - f_0,

    where :math:`\bar z` is the picture's average token: the effect of the average is split evenly, and each place gets the
    effect of its difference from it. For a linear layer on the averaged tokens this is the class activation map
    :math:`w \cdot z_p / P`, exactly. The path starts from the average token, not from zero, because LayerNorm removes the
    scale of a token: towards zero there is no gradient to integrate. The quadrature's error of the sum is split evenly.

    Args:
        logits: :math:`f`, differentiable.
        tokens: ``z``; contributions of one picture do not depend on the others.
        blank: :math:`f_0`, the logits without a picture.
        steps: points of the Gauss-Legendre quadrature of the integral.

    Returns:
        Contributions in float32, in units of the logit (log-odds); positive ones raise the logit.

    Source: Sundararajan et al., Axiomatic Attribution for Deep Networks, ICML 2017; Zhou et al., Learning Deep Features for
    Discriminative Localization, CVPR 2016.
    """
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    with torch.inference_mode(mode=False), torch.enable_grad():
        tokens = tokens.detach().float().clone()  # a copy: inference tensors cannot be differentiated
        average = tokens.mean(dim=1, keepdim=True)
        own = tokens - average
        gradient = torch.zeros_like(tokens)
        for node, weight in zip(((nodes + 1) / 2).tolist(), (weights / 2).tolist(), strict=True):
            point = (average + node * own).requires_grad_()
            gradient += weight * torch.autograd.grad(logits(point).sum(), point)[0]
        with torch.no_grad():
            found = (own * gradient).sum(dim=2)
            shared = (logits(tokens) - blank).float() - found.sum(dim=1)  # f(average) - f_0, and the quadrature's error
            return found + shared[:, None] / tokens.shape[1]
