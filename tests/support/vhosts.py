"""Virtual hosts of tests: each is one test's alone, and is handed on when nothing of that test is left in it.

A bus declares 28 delay queues. To declare and remove them for each test anew took 0.7 s of the broker's CPU
time (3.10.8); so a virtual host may keep them, as long as they are as they were declared, and empty.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Final
from urllib.parse import quote

from eventbus.rabbitmq.options import RabbitMQOptions
from eventbus.rabbitmq.topology import Names, plan
from eventbus.transport import Topology
from tests.support.broker import Broker

REST: Final = 5.0
"""Seconds between the last use of a virtual host and its removal.

A queue with at-least-once dead-lettering has a worker in the broker. Where the queue goes while its worker
begins, the worker fails, twice at once; that ends the supervisor of all of them, for good, and from then on
the node answers each declaration of such a queue with INTERNAL_ERROR, until it is restarted (seen on 3.10.8;
rabbitmq-server issue 16652).
"""

_NAMES: Final = Names("events")
_PLAN: Final = plan(_NAMES, Topology(()), RabbitMQOptions())
_NETWORK: Final = (_NAMES.delays, _NAMES.undelivered)
"""What the names of all of it begin with."""
_EXCHANGES: Final = {
    each.name: (each.type, dict(each.arguments)) for each in _PLAN.exchanges if each.name.startswith(_NETWORK)
}
_QUEUES: Final = {each.name: dict(each.arguments) for each in _PLAN.queues if each.name.startswith(_NETWORK)}
_BINDINGS: Final = {
    (each.source, each.routing_key, each.to, each.destination)
    for each in _PLAN.bindings
    if each.source.startswith(_NETWORK) and each.destination.startswith(_NETWORK)
}


class Vhosts:
    """Of one broker."""

    def __init__(self, broker: Broker, *, handed_on: int = 0, rest: float = REST) -> None:
        """`handed_on`: how many may wait for their next test; 0 where each is removed. `rest`: as `REST`."""
        self._broker = broker
        self._handed_on = handed_on
        self._rest = rest
        self._resting: deque[tuple[str, float]] = deque()
        """And when each may be touched, the first first."""
        self._waiting: deque[str] = deque()

    def take(self) -> str:
        """The name of one with nothing in it, or nothing but delay queues."""
        try:
            return self._waiting.popleft()
        except IndexError:
            return self.create()

    def create(self) -> str:
        """The name of one with nothing in it."""
        return self._broker.create_vhost()

    def put(self, vhost: str) -> None:
        """Nobody uses it any more."""
        self._resting.append((vhost, time.monotonic() + self._rest))

    def see_to_rested(self) -> None:
        while self._resting and self._resting[0][1] <= time.monotonic():
            vhost, _ = self._resting.popleft()
            if len(self._waiting) < self._handed_on and emptied(self._broker, vhost):
                self._waiting.append(vhost)
            else:
                self._broker.delete_vhost(vhost)

    def remove_all(self) -> None:
        """Each when it may be."""
        self._handed_on = 0
        while self._waiting:
            self._broker.delete_vhost(self._waiting.popleft())
        while self._resting:
            time.sleep(max(0.0, self._resting[0][1] - time.monotonic()))
            self.see_to_rested()


def emptied(broker: Broker, vhost: str) -> bool:
    """Remove what a test has left, but for the delay queues. False where they are not all as they should be,
    or something is left that this does not know."""
    try:
        return _emptied(broker, vhost)
    except AssertionError:  # what is refused is not looked into: the whole of it goes
        return False


def _emptied(broker: Broker, vhost: str) -> bool:
    found = broker.api("GET", f"definitions/{vhost}")
    queues = broker.api("GET", f"queues/{vhost}?columns=name,messages")
    if (
        any(found[kind] for kind in ("policies", "parameters"))
        or broker.api("GET", f"vhost-limits/{vhost}")
        or broker.api("GET", f"vhosts/{vhost}/permissions") != [broker.permissions_in(vhost)]
        or broker.api("GET", f"vhosts/{vhost}/topic-permissions")
        or broker.api("GET", f"vhosts/{vhost}/connections")
        or any(each.get("messages") != 0 for each in queues if each["name"] in _QUEUES)
    ):
        return False
    _remove(broker, vhost, "queues", found["queues"], {*_QUEUES})
    _remove(broker, vhost, "exchanges", found["exchanges"], {*_EXCHANGES})
    return _holds_delay_queues_only(broker.api("GET", f"definitions/{vhost}"))


def _remove(broker: Broker, vhost: str, kind: str, found: list[dict[str, Any]], kept: set[str]) -> None:
    for name in [each["name"] for each in found if each["name"] not in kept]:
        broker.api("DELETE", f"{kind}/{vhost}/{quote(name, safe='')}")


def _holds_delay_queues_only(found: dict[str, list[dict[str, Any]]]) -> bool:
    """All of them."""
    return (
        {each["name"]: (each["type"], each["arguments"]) for each in found["exchanges"]} == _EXCHANGES
        and {each["name"]: each["arguments"] for each in found["queues"]} == _QUEUES
        and {
            (each["source"], each["routing_key"], each["destination_type"], each["destination"])
            for each in found["bindings"]
        }
        == _BINDINGS
    )
