"""Makes a topology exist; changes nothing that is there.

Declared in one go without waiting for each answer: that takes milliseconds where everything exists, and
half a second where nothing does. Only when the broker refuses something is it asked one by one: one queue's
trouble keeps no other from being declared.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

import pamqp.frame
from pamqp.base import Frame
from pamqp.commands import Exchange, Queue

from eventbus.errors import BrokerUnreachable, TopologyError
from eventbus.logs import get_logger
from eventbus.rabbitmq.ask import Lost, Refused, ask
from eventbus.rabbitmq.supervisor import Link
from eventbus.rabbitmq.topology import Names, Plan, is_of_another_namespace
from eventbus.rabbitmq.wire import Wire

_DIFFERS: Final = 406
_TRIES: Final = 3
"""Of declaring one thing: others may be declaring, or deleting, the same at this moment."""
_START_TRIES: Final = 20
_START_PAUSE: Final = 0.5
"""Seconds between the tries while the broker starts."""


async def declare(link: Link, names: Names, plan: Plan, *, within: float) -> None:
    """Raises `TopologyError` after all else was declared, or `BrokerUnreachable`.

    `within` bounds each answer, in seconds.
    """
    try:
        problems = await _declare(link, names, plan, within)
    except Lost as loss:
        raise BrokerUnreachable(link.url, str(loss)) from loss
    except Refused as refusal:
        raise refusal.concerning("topology") from refusal
    if problems:
        name, *others = problems
        also = f"; refused too: {', '.join(others)}" if others else ""
        raise TopologyError(name, problems[name] + also)


async def _declare(link: Link, names: Names, plan: Plan, within: float) -> dict[str, str]:
    """What could not be declared, by name, and why."""
    wire = await link.channel(within=within)
    try:
        await _put(wire, [frame for _, frame in declarations(plan)], within)
    except Refused as refusal:
        get_logger("eventbus.rabbitmq").info("topology.refused", problem=str(refusal))
        return await _one_by_one(link, names, plan, within)
    finally:
        await wire.close()
    return {}


async def _one_by_one(link: Link, names: Names, plan: Plan, within: float) -> dict[str, str]:
    problems: dict[str, str] = {}
    # Queues that may be another system's: bound to our exchanges, they would have it handle our events.
    foreign: set[str] = set()
    wire = await link.channel(within=within)
    try:
        for name, frame in declarations(plan):
            if name in foreign:
                continue
            for attempt in range(1, _START_TRIES + 1):
                try:
                    await _put(wire, [frame], within)
                    break
                except Refused as refusal:
                    wire = await link.channel(within=within)
                    if refusal.code == _DIFFERS or attempt >= _tries(refusal, problems):
                        problems.setdefault(name, str(refusal))
                        if isinstance(frame, Queue.Declare) and not _is_known_as_ours(refusal):
                            foreign |= {name, names.dead_queue(name)}
                        break
                    if refusal.is_starting:
                        await asyncio.sleep(_START_PAUSE)
    finally:
        await wire.close()
    return problems


def _is_known_as_ours(refusal: Refused) -> bool:
    """Then it is bound all the same: what is published until somebody mends it waits there."""
    return refusal.code == _DIFFERS and not is_of_another_namespace(refusal.problem)


def _tries(refusal: Refused, problems: Mapping[str, str]) -> int:
    """How often to try. What stays inaccessible is waited for once, and not again for its bindings."""
    return _START_TRIES if refusal.is_starting and not problems else _TRIES


async def _put(wire: Wire, frames: Sequence[Frame], within: float) -> None:
    """Return when the broker has carried them out, in order; raises `Refused` for the first it refuses."""
    await wire.write(b"".join([pamqp.frame.marshal(frame, wire.number) for frame in frames]), within=within)
    # Any question will do: its answer comes after all that was asked before.
    await ask(wire.channel.basic_qos(prefetch_count=1), within=within)


def declarations(plan: Plan) -> Iterator[tuple[str, Frame]]:
    """Each declaration as AMQP has it, with the name of what it is about; none asks for an answer."""
    for exchange in plan.exchanges:
        yield (
            exchange.name,
            Exchange.Declare(
                exchange=exchange.name,
                exchange_type=exchange.type,
                durable=True,
                nowait=True,
                arguments=cast("dict[str, Any]", dict(exchange.arguments)),
            ),
        )
    for queue in plan.queues:
        arguments = cast("dict[str, Any]", dict(queue.arguments))
        yield queue.name, Queue.Declare(queue=queue.name, durable=True, nowait=True, arguments=arguments)
    for binding in plan.bindings:
        to, key = binding.destination, binding.routing_key
        if binding.to == "queue":
            yield (
                to,
                Queue.Bind(queue=to, exchange=binding.source, routing_key=key, nowait=True, arguments={}),
            )
        else:
            yield (
                to,
                Exchange.Bind(
                    destination=to, source=binding.source, routing_key=key, nowait=True, arguments={}
                ),
            )
