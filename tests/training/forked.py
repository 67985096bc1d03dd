"""Several training processes, forked from a test: what they import is there already."""

import multiprocessing
import os
import socket
import sys
import time
import traceback
from pathlib import Path

from ctran.errors import UserError

TORCHRUN = {"LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0", "GROUP_WORLD_SIZE": "1", "TORCHELASTIC_RUN_ID": "x"}


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _enter(rank, world, port, output, function):
    os.environ |= TORCHRUN | {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)
    try:
        function(rank)
    except SystemExit as end:
        os._exit(int(end.code or 0))
    except UserError as error:  # as the command prints it
        print(error, file=sys.stderr)
        os._exit(1)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def in_processes(world, folder, function, during=None, seconds=300):
    """Call ``function(rank)`` in processes with the variables of torchrun.

    Args:
        during: called with the processes while they run.

    Returns:
        Exit status of each, and what they printed.
    """
    output = Path(folder) / f"printed-{time.monotonic_ns()}.txt"
    context, port = multiprocessing.get_context("fork"), free_port()
    started = [context.Process(target=_enter, args=(rank, world, port, output, function)) for rank in range(world)]
    for each in started:
        each.start()
    try:
        if during is not None:
            during(started)
        until = time.monotonic() + seconds
        for each in started:
            each.join(max(0, until - time.monotonic()))
    finally:
        for each in started:
            each.kill()
            each.join()
    return [each.exitcode for each in started], output.read_text() if output.exists() else ""
