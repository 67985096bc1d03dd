"""Devices by name: the same names in Python, on the command line and in recipes."""

import re

import torch

from ctran.errors import UserError


def devices() -> list[str]:
    """Names of the devices of this machine: ``cpu``, then each GPU."""
    gpus = [f"cuda:{number}" for number in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return ["cpu", *gpus, *(["mps"] if torch.backends.mps.is_available() else [])]


def find_device(name: "str | torch.device" = "auto") -> torch.device:
    """The device with this name.

    Args:
        name: ``cpu``, ``cuda`` (the first), ``cuda:N`` or ``mps``; ``auto`` is the first CUDA device, else mps, else cpu.

    Raises:
        UserError: not the name of a device, or a device that this machine does not have.
    """
    name, found = str(name), devices()
    if name == "auto":
        return torch.device(found[1] if len(found) > 1 else "cpu")
    wanted = {"cuda": "cuda:0", "mps:0": "mps", "cpu:0": "cpu"}.get(name, name)
    if wanted in found:
        return torch.device(wanted)
    has = f"this machine has {', '.join(found)}"
    if not re.fullmatch(r"cpu|mps|cuda:\d+", wanted):
        raise UserError(f"device: expected auto, cpu, cuda, cuda:N or mps, got {name!r}; {has}")
    without = wanted.startswith("cuda") and not (torch.version.cuda or torch.version.hip)
    raise UserError(f"device {name!r} is not available{' to this build of PyTorch' if without else ''}; {has}")


def fast_in_bfloat16(device: torch.device) -> bool:
    """Whether the device computes faster in bfloat16 than in float32."""
    if device.type == "cpu":
        return torch.backends.cpu.get_cpu_capability() == "AVX512"
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
