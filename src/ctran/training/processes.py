"""Rank and number of the training processes, for all launchers."""

import os

from lightning.fabric.plugins.environments import (
    LSFEnvironment,
    MPIEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)

from ctran.errors import UserError

LAUNCHERS = {TorchElasticEnvironment: "torchrun", SLURMEnvironment: "SLURM", LSFEnvironment: "LSF", MPIEnvironment: "MPI"}
"""In the order of Lightning's trainer, which checks the same environments, so rank and world are the same."""


class ProcessesError(UserError):
    """Processes that a launcher started do not fit ``training.devices``; the message names what to start."""


def processes(devices: int) -> tuple[int, int]:
    """``(rank, world)`` of this process.

    Without a launcher the trainer starts the others itself, with ``LOCAL_RANK`` set.

    Args:
        devices: of the recipe; one process each.

    Raises:
        ProcessesError: a wrong number of processes, or several nodes.
    """
    for kind, name in LAUNCHERS.items():
        if not kind.detect():
            continue
        try:
            environment = kind()
        except RuntimeError as error:  # of Lightning, which would raise it later
            raise ProcessesError(f"{name}: {error}") from None
        rank, world = environment.global_rank(), environment.world_size()
        if devices == 1 and rank == 0:
            return 0, 1  # a batch job that has more tasks than this command uses
        nodes = max(int(os.environ.get(key, 1)) for key in ("SLURM_NNODES", "GROUP_WORLD_SIZE"))
        if nodes > 1:
            raise ProcessesError(f"{name} started training on {nodes} nodes; it works on the devices of one: use one node")
        if world != devices:
            raise ProcessesError(
                f"{name} started {world} processes, training.devices is {devices}: "
                f"set training.devices {world}, or start {devices} (one a device)"
            )
        return rank, world
    return int(os.environ.get("LOCAL_RANK", 0)), devices
