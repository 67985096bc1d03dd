"""Values of single entries of the training table that a loss keeps from epoch to epoch; checkpoints hold them."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ctran.errors import UserError


class EntryMemory(nn.Module):
    """One number for each picture and label, ``empty`` until it is written; rows are those of the training table.

    It grows with the rows that it has seen: 4 bytes for each of their entries.

    Args:
        empty: value of entries that were never written.
    """

    values: Tensor

    def __init__(self, empty: float) -> None:
        super().__init__()
        self.empty, self.values = empty, torch.empty(0, 0)

    def read(self, rows: Int[Tensor, " B"], labels: int) -> Float[Tensor, "B L"]:
        """Values of some rows."""
        self._grow(int(rows.max()) + 1 if len(rows) else 0, labels)
        return self.values[rows.cpu()].to(rows.device)

    def write(self, rows: Int[Tensor, " B"], values: Float[Tensor, "B L"]) -> None:
        """Replace the values of some rows."""
        self._grow(int(rows.max()) + 1 if len(rows) else 0, values.shape[1])
        self.values[rows.cpu()] = values.detach().float().cpu()

    def _grow(self, rows: int, labels: int) -> None:
        if torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1:
            raise UserError(
                "this loss keeps what it finds out about training pictures in one process; train with --training.devices 1"
            )
        if self.values.shape[1] != labels:
            self.values = torch.empty(0, labels)
        if rows > len(self.values):
            more = torch.full((max(rows, 2 * len(self.values)) - len(self.values), labels), self.empty)
            self.values = torch.cat([self.values, more])

    def get_extra_state(self) -> Tensor:
        """What a checkpoint holds; a buffer would have to keep its size."""
        return self.values

    def set_extra_state(self, state: Any) -> None:
        self.values = state.clone()
