"""Rank and number of the training processes, for all launchers."""

import os
from dataclasses import dataclass

from lightning.fabric.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    LSFEnvironment,
    MPIEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)

from ctran.errors import UserError

LAUNCHERS = {TorchElasticEnvironment: "torchrun", SLURMEnvironment: "SLURM", LSFEnvironment: "LSF", MPIEnvironment: "MPI"}
"""In the order of Lightning's trainer, which checks the same environments, so rank and world are the same."""
NODES = ("SLURM_NNODES", "GROUP_WORLD_SIZE")
"""Variables in which SLURM and torchrun give the number of nodes."""


class ProcessesError(UserError):
    """Processes that a launcher started do not fit ``training.devices`` and ``nodes``; the message names what to start."""


@dataclass(frozen=True)
class Place:
    """Where a process stands among those of a training.

    Args:
        rank: from 0, of all nodes together.
        world: number of processes.
        local_rank: from 0, on its node: the number of its device.
        launcher: what started the processes; empty: the first process starts those of its machine.
    """

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    launcher: str = ""

    @property
    def starts_others(self) -> bool:
        """Whether this process has to start the others."""
        return self.world > 1 and not self.launcher and not self.rank


def processes(devices: int, nodes: int = 1) -> Place:
    """The place of this process.

    Args:
        devices: of the recipe, on each node; one process each.
        nodes: of the recipe.

    Raises:
        ProcessesError: processes or nodes of the launcher that are not those of the recipe, or several nodes without launcher.
    """
    for kind, name in LAUNCHERS.items():
        if not kind.detect():
            continue
        try:
            found = _of_launcher(kind(), name, devices, nodes)
        except (RuntimeError, KeyError) as error:  # of Lightning, which would raise it later
            raise ProcessesError(f"{name}: {error}") from None
        if found.world > 1 or found.rank == 0:
            return found
    if nodes > 1:
        raise ProcessesError(
            f"training.nodes is {nodes}, and nothing has started processes on other machines: start the training with "
            f"torchrun --nnodes {nodes} --nproc-per-node {devices}, or srun --nodes {nodes} --ntasks-per-node {devices}"
        )
    rank = int(os.environ.get("LOCAL_RANK", 0))
    if rank >= devices:
        raise ProcessesError(f"LOCAL_RANK is {rank}, and training.devices is {devices}: unset LOCAL_RANK")
    return Place(rank, devices, rank)


def _of_launcher(environment: ClusterEnvironment, name: str, devices: int, nodes: int) -> Place:
    rank, world = environment.global_rank(), environment.world_size()
    if devices == nodes == 1 and rank == 0:
        return Place()  # a batch job that has more tasks than this command uses
    given = max(int(os.environ.get(key, 1)) for key in NODES)
    if given != nodes:
        raise ProcessesError(
            f"{name} started training on {given} node{'s' * (given != 1)}, training.nodes is {nodes}: "
            f"set training.nodes {given}, or use {nodes}"
        )
    if world != devices * nodes:
        each, rest = divmod(world, nodes)
        fitting = f"set training.devices {each}, or start" if not rest else "start"
        of_all = f" on each of {nodes} nodes" if nodes > 1 else ""
        raise ProcessesError(
            f"{name} started {world} processes, training.devices is {devices}{of_all}: {fitting} {devices * nodes} "
            "(one a device)"
        )
    return Place(rank, world, environment.local_rank(), name)


def environment_of(place: Place) -> ClusterEnvironment:
    """Lightning's description of the launcher, which knows where the processes meet."""
    kind = next((kind for kind, name in LAUNCHERS.items() if name == place.launcher), LightningEnvironment)
    return kind()
