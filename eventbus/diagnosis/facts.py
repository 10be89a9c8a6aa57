"""What the checks look at: asked of the broker once, and what somebody else has found of the store."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from eventbus.broker_report import BrokerReport
from eventbus.clock import Clock
from eventbus.counted import many
from eventbus.errors import ConfigurationError
from eventbus.service import Service
from eventbus.store import Backlog, StoreReport
from eventbus.transport import Drift, QueueStats, Topology, Transport

BETWEEN_LOOKS: Final = 2.0
"""Seconds from the first look at the queues to the second, which shows what is growing."""


@dataclass(frozen=True, slots=True)
class OfAnotherBus:
    """What waits in the outbox or spool of this bus, and is another's."""

    bus: str
    backlog: Backlog
    place: str
    """Where it waits: a URL without secrets."""
    command: str
    """That sends it on."""

    def __str__(self) -> str:
        return f"{many(self.backlog.events, 'event')} of another bus, {self.bus}, left in {self.place}"


@dataclass(frozen=True, slots=True)
class Facts:
    """`targets`: the services as a command line names them; `url`: what its other commands need as --url."""

    report: BrokerReport
    services: Sequence[Service] = ()
    targets: Sequence[str] = ()
    url: str | None = None
    drifts: Sequence[Drift] = ()
    before: Sequence[QueueStats] = ()
    queues: Sequence[QueueStats] = ()
    """The same queues `BETWEEN_LOOKS` seconds later."""
    queues_unknown: str | None = None
    """Why nobody knows which queues there are."""
    store: StoreReport | None = None
    """None: nobody has looked at it."""
    of_others: Sequence[OfAnotherBus] = ()

    def command(self, *words: str) -> str:
        """`eventbus …`, with nothing in it that a shell would take for anything but a word."""
        url = () if self.url is None else ("--url", self.url)
        return shlex.join(("eventbus", *words, *url))

    def command_on_services(self, *words: str) -> str:
        return self.command(*words, *(self.targets or ("MODULE:SERVICE",)))


async def gather(
    transport: Transport,
    clock: Clock,
    *,
    services: Sequence[Service] = (),
    targets: Sequence[str] = (),
    url: str | None = None,
) -> Facts:
    """Changes nothing. Of the services named, or of all queues; raises `BrokerUnreachable`."""
    report = await transport.inspect()
    topology = Topology(tuple(queue for service in services for queue in service.topology.queues))
    drifts = await transport.diff(topology) if services else ()
    unknown: str | None = None
    try:
        names = _there(topology, drifts) if services else await transport.queues()
    except ConfigurationError as error:
        names, unknown = (), str(error)
    before = queues = await transport.stats(names)
    if queues:
        await clock.sleep(BETWEEN_LOOKS)
        queues = await transport.stats(names)
    return Facts(
        report=report,
        services=services,
        targets=targets,
        url=url,
        drifts=drifts,
        before=before,
        queues=queues,
        queues_unknown=unknown,
    )


def _there(topology: Topology, drifts: Sequence[Drift]) -> Sequence[str]:
    """Those that are missing are told as drift, and have no numbers."""
    missing = {drift.what for drift in drifts if drift.kind == "missing"}
    return [queue.name for queue in topology.queues if f"queue {queue.name}" not in missing]
