"""A job on a Ray cluster of two nodes on this machine, one of which is killed in the middle: a program for the test.

python -m tests.collection.two_nodes MODEL INPUT OUTPUT
"""

import sys
import threading
import time
from pathlib import Path

from ctran.collection.options import Job, Options


def main(model: str, source: str, output: str) -> None:
    import ray
    from ray.cluster_utils import Cluster

    from ctran.collection.ray_engine import run_with_ray

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    node = cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False)
    parts = Path(output, "predictions")

    def kill() -> None:
        while len(list(parts.glob("part-*"))) < 3:
            time.sleep(0.02)
        print("parts when the node was killed:", len(list(parts.glob("part-*"))), flush=True)
        cluster.remove_node(node, allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    print(run_with_ray(Job(model, source, output, Options(part_size=4), device="cpu", batch_size=4)), flush=True)
    killer.join()
    deadline = time.monotonic() + 60  # the head notices a dead node by its heartbeats
    while sum(each["Alive"] for each in ray.nodes()) > 1 and time.monotonic() < deadline:
        time.sleep(0.2)
    print("nodes alive:", sum(each["Alive"] for each in ray.nodes()), flush=True)
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
