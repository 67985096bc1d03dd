"""Temperatures and thresholds of a model as plain data: ``calibration.json`` in its folder, fitted by ``ctran calibrate``."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ctran.errors import UserError
from ctran.files import write_text
from ctran.labels import LabelSpace, LabelState

FORMAT = 1


@dataclass(frozen=True)
class Calibration:
    """Temperatures that divide logits, and thresholds from which on labels are present; the default changes nothing.

    Args:
        known_shares: shares of given labels at which temperatures were fitted, increasing; what follows from these labels by
            implications or groups does not count, in fitting as in use.
        temperatures: divisor of the logits at each share; between shares by linear interpolation.
        thresholds: label name -> probability from which on it counts as present; one half for labels not named.
        rule: how thresholds were chosen.
        reasons: what was not kept, and why.
    """

    known_shares: tuple[float, ...] = (0.0,)
    temperatures: tuple[float, ...] = (1.0,)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    rule: str = "one half"
    reasons: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.known_shares) != len(self.temperatures) or not self.known_shares:
            raise UserError(f"expected a temperature a share, got {len(self.known_shares)} and {len(self.temperatures)}")
        if any(a >= b for a, b in zip(self.known_shares, self.known_shares[1:], strict=False)):
            raise UserError(f"known shares must increase, got {list(self.known_shares)}")
        if bad := [t for t in self.temperatures if not 0 < t < float("inf")]:
            raise UserError(f"a temperature is greater than 0, got {bad[0]}")
        if wrong := [(name, t) for name, t in self.thresholds.items() if not 0 <= t <= 1]:
            raise UserError(f"a threshold lies between 0 and 1, got {wrong[0][1]} for {wrong[0][0]!r}")

    @property
    def changes_nothing(self) -> bool:
        """Whether predictions are those without a calibration: temperatures of 1, thresholds of one half."""
        return not self.thresholds and set(self.temperatures) == {1.0}

    def temperature_of(self, states: Int[Tensor, "R L"]) -> Float[Tensor, " R"]:
        """Temperature of each row, by its share of known labels; ``states`` must hold the given labels, without what follows
        from them."""
        share = (states != LabelState.UNKNOWN).float().mean(dim=1).cpu().numpy()
        return torch.from_numpy(self.temperature_at(share)).to(states.device, torch.float32)

    def temperature_at(self, known_share: Float[np.ndarray, " R"]) -> Float[np.ndarray, " R"]:
        """Temperature at shares of known labels."""
        return np.interp(known_share, self.known_shares, self.temperatures)

    def save(self, path: Path) -> None:
        """Write as JSON, in one step."""
        write_text(path, json.dumps(self.as_dict(), indent=1, ensure_ascii=False) + "\n")

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {"format": FORMAT, **asdict(self), "thresholds": dict(self.thresholds)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], labels: LabelSpace) -> "Calibration":
        """The inverse of :meth:`as_dict`, for a model with these labels.

        Raises:
            ValueError: another format; :class:`~ctran.labels.UnknownLabelError` for a threshold of a label not in ``labels``.
        """
        if content.get("format") != FORMAT:
            raise UserError(f"calibration has format {content.get('format')!r}, expected {FORMAT}; upgrade ctran")
        for name in content["thresholds"]:
            labels.index(name)
        shares, temperatures = tuple(content["known_shares"]), tuple(content["temperatures"])
        return cls(shares, temperatures, dict(content["thresholds"]), content["rule"], tuple(content["reasons"]))
