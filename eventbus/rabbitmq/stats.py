"""How subscriptions are doing, as far as the broker tells."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from eventbus.errors import ConfigurationError, TopologyError
from eventbus.logs import get_logger
from eventbus.rabbitmq.ask import Refused, ask
from eventbus.rabbitmq.management import Management, ManagementUnavailable
from eventbus.rabbitmq.supervisor import Link
from eventbus.rabbitmq.topology import Names
from eventbus.rabbitmq.wire import Wire
from eventbus.transport import QueueStats

_NOT_FOUND: Final = 404
_SUBSCRIPTION: Final = re.compile(r"[a-z_][a-z0-9_-]*\.[a-z_][a-z0-9_-]*(\.dead)?", re.IGNORECASE | re.ASCII)
"""`<service>.<handler>`, and where its dead letters lie. What else is bound there is nobody's, and may not
even have a name that the driver can ask for."""


@dataclass(frozen=True, slots=True)
class _Depth:
    messages: int = 0
    consumers: int = 0


async def queue_stats(
    link: Link, management: Management, names: Names, queues: Sequence[str], *, within: float
) -> list[QueueStats]:
    """Asked over AMQP; only the management API knows what is in flight, nobody what is delayed or how old.

    A queue that does not exist has nothing in it.
    """
    if not queues:
        return []
    dead_queues = [names.dead_queue(queue) for queue in queues]
    depths = await _depths(link, [*queues, *dead_queues], within)
    in_flight = await _in_flight(management)
    return [
        QueueStats(
            queue=queue,
            ready=depths[queue].messages,
            in_flight=in_flight.get(queue),
            delayed=None,
            dead=depths[names.dead_queue(queue)].messages,
            oldest_age=None,
            consumers=depths[queue].consumers,
            dead_consumers=depths[names.dead_queue(queue)].consumers,
        )
        for queue in queues
    ]


async def subscription_queues(management: Management, names: Names) -> list[str]:
    """Every subscription's queue is bound to the exchange for one queue alone, by its own name.

    So is that of its dead letters to theirs; it may be all that is left of a subscription.
    """
    bindings = await _bindings(management, names)
    queues = {queue for queue, source, _ in bindings if source == names.redeliver}
    return sorted(queues | with_dead_letters(names, bindings))


def with_dead_letters(names: Names, bindings: Iterable[tuple[str, str, str]]) -> set[str]:
    """The queues whose dead letters have a place, whether or not they are there themselves."""
    return {key for queue, source, key in bindings if source == names.dead and queue == names.dead_queue(key)}


async def patterns_of(management: Management, names: Names, queue: str) -> list[str]:
    bindings = [(source, key) for found, source, key in await _bindings(management, names) if found == queue]
    if not bindings:
        raise TopologyError(f"queue {queue}", "there is no such subscription")
    return sorted(key for source, key in bindings if source == names.events)


async def _bindings(management: Management, names: Names) -> list[tuple[str, str, str]]:
    """Queue, exchange and routing key of each binding of a subscription."""
    try:
        bindings = await management.bindings()
    except ManagementUnavailable as error:
        raise ConfigurationError(
            f"the list of queues comes from RabbitMQ's management API: {error}. "
            "Set EVENTBUS_MANAGEMENT_URL, or name the services."
        ) from error
    return [
        (each["destination"], each["source"], each["routing_key"])
        for each in bindings
        if each["destination"] != names.log and _SUBSCRIPTION.fullmatch(each["destination"])
    ]


async def _depths(link: Link, queues: Sequence[str], within: float) -> dict[str, _Depth]:
    depths: dict[str, _Depth] = {}
    wire = await link.channel(within=within)
    try:
        for queue in queues:
            if not wire.is_open:
                wire = await link.channel(within=within)
            depths[queue] = await _depth(wire, queue, within)
    finally:
        await wire.close()
    return depths


async def _depth(wire: Wire, queue: str, within: float) -> _Depth:
    try:
        declared = await ask(wire.channel.queue_declare(queue, passive=True), within=within)
    except Refused as refusal:
        if refusal.code != _NOT_FOUND:
            raise
        wire.end(refusal)  # which the broker has done; a new one takes its place
        return _Depth()
    return _Depth(declared.message_count or 0, declared.consumer_count or 0)


async def _in_flight(management: Management) -> dict[str, int]:
    try:
        queues = await management.queues()
    except ManagementUnavailable as error:
        get_logger("eventbus.rabbitmq").debug("management.unavailable", problem=str(error))
        return {}
    # A queue that was declared a moment ago has no numbers yet.
    return {
        each["name"]: each["messages_unacknowledged"] for each in queues if "messages_unacknowledged" in each
    }
