"""Devices by name: the same names in Python, on the command line and in recipes."""

import re

import torch

from ctran.errors import UserError

NAMES = "auto, cpu, cuda, cuda:1, mps"


def devices() -> list[str]:
    """Names of the devices of this machine: ``cpu``, then each GPU."""
    gpus = [f"cuda:{number}" for number in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return ["cpu", *gpus, *(["mps"] if torch.backends.mps.is_available() else [])]


def find_device(name: "str | torch.device" = "auto") -> torch.device:
    """The device of a name.

    Args:
        name: ``cpu``, ``cuda`` (the first), ``cuda:N`` or ``mps``; ``auto`` is the first CUDA device, else mps, else cpu.

    Raises:
        UserError: not the name of a device, or a device that this machine does not have.
    """
    name, found = str(name), devices()
    if name == "auto":
        return torch.device(found[1] if len(found) > 1 else "cpu")
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", name):
        raise UserError(f"device: expected auto, cpu, cuda, cuda:N or mps, got {name!r}; this machine has {', '.join(found)}")
    device = torch.device("cuda:0" if name == "cuda" else name)
    if str(device) not in found:
        why = (
            ""
            if device.type != "cuda" or torch.version.cuda or torch.version.hip
            else " (this PyTorch is built for CPUs alone)"
        )
        raise UserError(f"device {name!r} is not available{why}; this machine has {', '.join(found)}")
    return device
