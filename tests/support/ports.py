"""Loopback ports for the servers of tests."""

from __future__ import annotations

import os
import random
import socket
from typing import Final

# From below the range that the kernel takes the ports of outgoing connections from: they stay free.
_FIRST: Final = 15_000
_OF_A_WORKER: Final = 1_000
_WORKERS: Final = 17
"""With more of them, two have one range."""

_choice: Final = random.SystemRandom()  # two runs with the same seed are to choose differently
_given: Final[set[int]] = set()


def free_ports(count: int) -> list[int]:
    """Of a server that may be slow to take them: nobody else in this run is given them.

    Each worker has a range of its own, and gives each of its ports once.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    first = _FIRST + worker * _OF_A_WORKER
    left = [port for port in range(first, first + _OF_A_WORKER) if port not in _given]
    _choice.shuffle(left)
    ports: list[int] = []
    while len(ports) < count:
        assert left, f"no port from {first} to {first + _OF_A_WORKER} is free"
        if _is_free(port := left.pop()):
            ports.append(port)
    _given.update(ports)
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
