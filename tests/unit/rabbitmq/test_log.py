"""What it means that a log cannot be read."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from eventbus.clock import SystemClock
from eventbus.errors import BrokerUnreachable, EventBusError, TopologyError
from eventbus.rabbitmq.ask import Refused
from eventbus.rabbitmq.log import Log, _Reader
from eventbus.rabbitmq.options import RabbitMQOptions
from eventbus.rabbitmq.topology import Names

STARTING = (
    "NOT_FOUND - home node 'rabbit@one' of durable queue 'events.log' in vhost '/' is down or inaccessible"
)
GONE = "NOT_FOUND - no queue 'events.log' in vhost '/'"


@pytest.mark.parametrize(("answer", "error"), [(STARTING, BrokerUnreachable), (GONE, TopologyError)])
async def test_a_broker_that_is_starting_is_away_and_a_log_that_is_not_there_is_refused(
    answer: str, error: type[EventBusError], monkeypatch: pytest.MonkeyPatch
):
    async def refusing(*_: Any, **__: Any) -> None:
        raise Refused(404, answer)

    monkeypatch.setattr(_Reader, "open", refusing)
    link: Any = SimpleNamespace(url="amqp://broker/")
    marks: Any = None
    log = Log(link, Names("events"), RabbitMQOptions(), SystemClock(), marks)

    with pytest.raises(error, match="NOT_FOUND"):
        async with log.read("first", None):
            pass
