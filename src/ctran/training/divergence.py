"""The losses of an epoch, and the error if one of them is not finite."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ctran.errors import UserError
from ctran.losses._base import Reduction
from ctran.training.options import Training

CHECK_EVERY = 50
"""Steps between checks of the losses if a check must wait for a GPU or other processes; otherwise every step is checked."""
NAMED = 8
"""Pictures of a batch that an error names."""


class DivergedError(UserError):
    """The training loss became NaN or infinite; the message names the step, what is kept and what to try."""


class Losses:
    """Losses of the steps of one epoch, on their device.

    Args:
        ids: of the training pictures.
        batches: of one step.
        reduction: of the loss, by which the losses of the batches of a step are its loss.
    """

    def __init__(self, ids: Sequence[str], batches: int = 1, reduction: Reduction = "mean") -> None:
        self.ids, self.batches, self.reduction = ids, batches, reduction
        self._shown: list[tuple[Tensor, Tensor]] = []
        self._unchecked: list[tuple[Tensor, Tensor]] = []

    def __len__(self) -> int:
        return len(self._shown)

    def add(
        self,
        shown: Float[Tensor, ""],
        total: Float[Tensor, ""],
        rows: Int[Tensor, " B"],
        weight: Float[Tensor, ""] | None = None,
    ) -> None:
        """Add the losses of one batch.

        Args:
            shown: for the learning curves.
            total: the loss that is minimised.
            rows: of the pictures in the table.
            weight: in the mean over the batches of a step; None is 1.
        """
        shown = shown.detach()
        self._shown.append((shown, torch.ones_like(shown) if weight is None else weight.to(shown)))
        self._unchecked.append((total.detach(), rows))

    def due(self, world: int) -> bool:
        """Whether to check :attr:`finite` now; the same in all of ``world`` processes."""
        waits = world > 1 or self._shown[-1][0].device.type != "cpu"
        return len(self._unchecked) >= CHECK_EVERY if waits else True

    @property
    def finite(self) -> bool:
        """Whether all losses so far are finite numbers."""
        if self._unchecked and not bool(torch.isfinite(torch.stack([total for total, _ in self._unchecked])).all()):
            return False
        self._unchecked.clear()
        return True

    def mean(self) -> Float[Tensor, ""]:
        """Mean over the steps of the losses of the learning curves."""
        losses, weights = (torch.stack(each).split(self.batches) for each in zip(*self._shown, strict=True))
        sums = torch.stack([(loss * weight).sum() for loss, weight in zip(losses, weights, strict=True)])
        if self.reduction == "mean":
            sums = sums / torch.stack([weight.sum() for weight in weights]).clamp(min=torch.finfo(sums.dtype).tiny)
        return sums.mean()

    def clear(self) -> None:
        """Start the next epoch."""
        self._shown.clear()
        self._unchecked.clear()

    def first_bad(self, epoch: int) -> str:
        """The first loss that is not finite, its step and pictures, in words; ``epoch`` counts from 1."""
        first = len(self) - len(self._unchecked)
        for number, (total, rows) in enumerate(self._unchecked, start=first):
            if torch.isfinite(total):
                continue
            first_rows: list[int] = rows[:NAMED].tolist()
            names = [self.ids[row] if row < len(self.ids) else f"row {row}" for row in first_rows]
            more = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
            where = f"epoch {epoch}, step {number // self.batches + 1} (pictures {', '.join(names)}{more})"
            return f"the training loss became {float(total)} in {where}"
        return f"the weights became NaN or infinite in epoch {epoch}"  # in its last step, or in another process


def explain(what: str, rates: Mapping[str, float], options: Training) -> str:
    """The message of :class:`DivergedError`.

    Args:
        what: from :meth:`Losses.first_bad`.
        rates: learning rate of each part of the model.
    """
    ways = ["a lower training.learning_rate"]
    if not options.clip_norm:
        ways.append("training.clip_norm 1")
    if options.precision != "32-true":
        ways.append("training.precision 32-true")
    shown = ", ".join(f"{part} {value:g}" for part, value in rates.items())
    return (
        f"{what}; learning rates: {shown}. Nothing of this epoch was saved: the model and the checkpoints are those of the "
        f"epochs before. Try {' or '.join(ways)} in a new run (--output)"
    )
