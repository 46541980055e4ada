"""A Ray cluster of two nodes on this machine, as a process: it ends when its input does.

It prints the cluster's address when both nodes are up. `lose` takes the second node away as a
power cut would, `join` brings it again; each is answered with the node's address.
"""

import shutil
import sys
from contextlib import redirect_stdout, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import psutil
from ray import cluster_utils
from ray._common.utils import get_default_ray_temp_dir

Cluster: Any = cluster_utils.Cluster  # its types are partial

# Ray takes 127.0.0.1 for a mistake where it can, and looks for an address of the outer network.
HEAD, SECOND = ("127.0.0.2", "127.0.0.3") if sys.platform == "linux" else ("127.0.0.1",) * 2
NODE = {"num_cpus": 1, "object_store_memory": 80_000_000}


def cut_off(cluster: Any, node: Any) -> None:
    """End *node* and everything that runs on it, which Ray itself would leave to look around."""
    (raylet,) = node.all_processes["raylet"]
    family = psutil.Process(raylet.process.pid).children(recursive=True)
    cluster.remove_node(node, allow_graceful=False)
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def main() -> None:
    answers = sys.stdout
    folder = mkdtemp(prefix="bg-ray-")
    # Ray notes its newest cluster there, and makes the folder only for clusters that lie in it.
    Path(get_default_ray_temp_dir()).mkdir(parents=True, exist_ok=True)
    with redirect_stdout(sys.stderr):
        head = {**NODE, "node_ip_address": HEAD, "include_dashboard": False, "no_monitor": True}
        head |= {"include_log_monitor": False, "temp_dir": folder}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        second = cluster.add_node(node_ip_address=SECOND, **NODE)
        try:
            print(cluster.address, file=answers, flush=True)
            for order in sys.stdin:
                if order.strip() == "lose":
                    cut_off(cluster, second)
                else:
                    second = cluster.add_node(node_ip_address=SECOND, **NODE)
                print(SECOND, file=answers, flush=True)
        finally:
            for node in (*cluster.worker_nodes, cluster.head_node):
                cut_off(cluster, node)
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
