"""Three RabbitMQ nodes on 127.0.0.1 that are one cluster. Ready in 10 to 30 seconds, about 450 MB."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path
from typing import Final
from urllib.parse import quote

from tests.support.eventually import eventually_sync
from tests.support.lifeline import attach, detach
from tests.support.ports import free_ports
from tests.support.rabbitmq_node import Peer, RabbitNode, epmd_command

NAMES: Final = ("first", "second", "third")


class Cluster:
    """Its nodes may be killed and started again. It ends with its lifeline, or when it is removed."""

    def __init__(self, lifeline: Path) -> None:
        self._lifeline = lifeline
        (epmd_port,) = free_ports(1)
        cookie = f"{random.getrandbits(128):x}"
        peers = [Peer(name, cookie, epmd_port) for name in NAMES]
        config = "cluster_formation.peer_discovery_backend = classic_config\n"
        config += "".join(
            f"cluster_formation.classic_config.nodes.{number} = {peer.node}\n"
            for number, peer in enumerate(peers, 1)
        )
        self.nodes = {peer.node: RabbitNode(lifeline, config=config, peer=peer) for peer in peers}
        self._epmd = subprocess.Popen(
            epmd_command(epmd_port),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        attach(lifeline, self._epmd.pid)

    def start(self, *, within: float = 120.0) -> None:
        """Starts what does not run; returns when every node answers and knows the others."""
        stopped = [node for node in self.nodes.values() if not node.is_running]
        for node in stopped:
            node.begin_to_start()
        for node in stopped:
            node.wait_until_it_answers(within=within)
        eventually_sync(self._is_whole, within=within, every=0.2, despite=OSError)

    def create_vhost(self) -> str:
        """Of the cluster. Nodes that have just found each other may take the first ones very slowly."""
        make = self.running().broker.create_vhost
        return eventually_sync(make, within=100.0, every=1.0, despite=(OSError, AssertionError))

    def remove(self) -> None:
        for node in self.nodes.values():
            node.remove()
        detach(self._lifeline, self._epmd.pid)
        self._epmd.kill()
        self._epmd.wait(timeout=30)

    def running(self) -> RabbitNode:
        """One of the nodes that run."""
        return next(node for node in self.nodes.values() if node.is_running)

    def has_all_replicas(self, vhost: str) -> bool:
        """Whether each queue and stream has its members back: till then another death takes the majority."""
        queues = self.running().broker.api("GET", f"queues/{quote(vhost, safe='')}")
        return all(len(each.get("online", ())) == len(self.nodes) for each in queues)

    def leader_of(self, vhost: str, queue: str) -> str:
        """The name of the node that leads a quorum queue now."""
        path = f"queues/{quote(vhost, safe='')}/{quote(queue)}"
        leader: str = self.running().broker.api("GET", path)["leader"]
        return leader

    def _is_whole(self) -> bool:
        nodes = self.running().broker.api("GET", "nodes")
        return sorted(node["name"] for node in nodes if node["running"]) == sorted(self.nodes)
