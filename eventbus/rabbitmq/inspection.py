"""What RabbitMQ says of itself: over AMQP who it is, by its management API how it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any, Final, TypeVar, cast

from eventbus.broker_report import BrokerConnection, BrokerReport, numbers_of
from eventbus.clock import Clock
from eventbus.errors import shorten
from eventbus.rabbitmq.dialing import NAMESPACE, PURPOSE
from eventbus.rabbitmq.management import Management, ManagementUnavailable
from eventbus.rabbitmq.options import RabbitMQOptions
from eventbus.rabbitmq.supervisor import Link
from eventbus.rabbitmq.topology import Names

OLDEST: Final = "3.10"
"""The first with what dead-lettering at least once and the delays need together."""
FLAGS: Final = ("quorum_queue", "stream_queue")
"""What an operator has to enable after an upgrade, on versions that let it be off."""

_ALWAYS_ON: Final = (3, 12)
"""Since then no node starts without them."""

Found = TypeVar("Found")


async def inspect(
    link: Link, management: Management, options: RabbitMQOptions, clock: Clock, *, within: float
) -> BrokerReport:
    """Raises `Lost` where there is no connection; what the management API does not tell is unknown."""
    properties = (await link.ready(within=within)).server_properties
    version = _text(properties, "version")
    asking = _Asking()
    names = Names(options.namespace)
    alarms, connections, flags, clock_ahead, queues = await asyncio.gather(
        asking.of("alarms", management.alarms()),
        asking.of("connections", management.connections()),
        asking.of("feature flags", management.feature_flags()),
        asking.of("clock", _clock_ahead(management, clock)),
        asking.of("delays", management.queues()),
    )
    features = _features(flags, version)
    if None not in features.values():
        asking.unknown.pop("feature flags", None)
    return BrokerReport(
        product=_text(properties, "product"),
        version=version,
        oldest_version=OLDEST,
        handling_limit=options.consumer_timeout,
        alarms=None if alarms is None else tuple(_alarm(each) for each in alarms),
        clock_ahead=clock_ahead,
        connections=None if connections is None else _connections(connections, options.namespace),
        held_back=None if queues is None else _held_back(queues, names),
        undelivered=None if queues is None else _undelivered(queues, names),
        undelivered_among=names.undelivered,
        features=features,
        management=alarms is not None,
        unknown=dict(sorted(asking.unknown.items())),
    )


class _Asking:
    """Several questions to the management API, and why some have no answer."""

    def __init__(self) -> None:
        self.unknown: dict[str, str] = {}

    async def of(self, what: str, question: Awaitable[Found]) -> Found | None:
        try:
            return await question
        except ManagementUnavailable as error:
            self.unknown[what] = str(error)
        return None


def _held_back(queues: Iterable[Mapping[str, Any]], names: Names) -> int:
    """What the delay queues have handed over, and the broker keeps until every queue has confirmed it."""
    return sum(each.get("messages_dlx", 0) for each in queues if each["name"].startswith(names.delays))


def _undelivered(queues: Iterable[Mapping[str, Any]], names: Names) -> int:
    place = names.dead_queue(names.undelivered)
    return sum(each.get("messages", 0) for each in queues if each["name"] == place)


_DATE_IS_OLD: Final = 1.5
"""Seconds: up to one is cut off, and a busy server sets its date late."""


async def _clock_ahead(management: Management, clock: Clock) -> float:
    """What is certain of it: the date is cut down to a second, and the answer took a while."""
    before = clock.now()
    date = await management.date()
    after = clock.now()
    if date is None:
        raise ManagementUnavailable("the management API does not tell the time")
    earliest, latest = (date - after).total_seconds(), (date - before).total_seconds() + _DATE_IS_OLD
    return earliest if earliest > 0 else min(latest, 0.0)


def _features(flags: Iterable[Mapping[str, Any]] | None, version: str) -> dict[str, bool | None]:
    if numbers_of(version) >= _ALWAYS_ON:
        return dict.fromkeys(FLAGS, True)
    if flags is None:
        return dict.fromkeys(FLAGS)
    enabled = {each.get("name") for each in flags if each.get("state") == "enabled"}
    return {flag: flag in enabled for flag in FLAGS}


def _alarm(alarm: Mapping[str, Any]) -> str:
    return shorten(f"{_text(alarm, 'resource')} alarm on {_text(alarm, 'node')}")


def _connections(found: Iterable[Mapping[str, Any]], namespace: str) -> tuple[BrokerConnection, ...]:
    """Without those of other namespaces; whoever names none may be using ours."""
    return tuple(
        _connection(each, properties)
        for each in found
        if _text(properties := _properties(each), NAMESPACE) in ("", namespace)
    )


def _connection(connection: Mapping[str, Any], properties: Mapping[str, Any]) -> BrokerConnection:
    return BrokerConnection(
        name=shorten(_text(properties, "connection_name") or _text(connection, "name")),
        user=shorten(_text(connection, "user")),
        # One that was opened a moment ago has no state yet.
        state=shorten(_text(connection, "state") or "starting"),
        purpose=shorten(_text(properties, PURPOSE)) or None,
    )


def _properties(connection: Mapping[str, Any]) -> Mapping[str, Any]:
    found: object = connection.get("client_properties")
    return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {}


def _text(found: Mapping[str, Any], name: str) -> str:
    value: object = found.get(name)
    return value if isinstance(value, str) else ""
