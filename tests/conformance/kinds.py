"""The kinds of broker that the suite runs on, each seen through one small value."""

from __future__ import annotations

import asyncio
import urllib.parse
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

from eventbus.embedded import EmbeddedTransport
from eventbus.rabbitmq import RabbitMQOptions, RabbitMQTransport
from tests.conformance.process import Process
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from eventbus.transport import Transport
    from tests.support.broker import Broker

KINDS: Final = ("memory", "file", "rabbitmq")

ACROSS_PROCESSES: Final = pytest.mark.parametrize("transport_factory", ["file", "rabbitmq"], indirect=True)
"""For what needs a second transport or process on the same broker: ":memory:" belongs to one transport."""


@dataclass(frozen=True)
class TransportFactory:
    """One broker under test: how to reach it, from here and from another process."""

    name: str
    address: str
    """The path of a file, ":memory:", or the AMQP URL of a virtual host."""
    management: Broker | None = None

    def new(self) -> Transport:
        """Another transport to this broker, not yet open."""
        return connect(self.name, self.address, self.management.http_url if self.management else None)

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[Transport]:
        transport = self.new()
        await transport.open()
        try:
            yield transport
        finally:
            await transport.close()

    def process(self, *command: str, log: Path) -> AbstractAsyncContextManager[Process]:
        """A process of its own that does one thing to this broker; see `tests/conformance/program.py`."""
        return Process.started("tests.conformance.program", self.name, self.address, *command, log=log)

    async def cut(self) -> None:
        """RabbitMQ closes every connection to the virtual host; returns when it has.

        A transport that sends and receives has two at least. A new one is not listed at once, hence the wait.
        """
        broker = self.management
        assert broker is not None, f"{self.name} has no connections to cut"
        await eventually(lambda: asyncio.to_thread(_close_connections, broker, self.address), within=15)


def connect(name: str, address: str, management_url: str | None = None) -> Transport:
    if name == "rabbitmq":
        return RabbitMQTransport(address, RabbitMQOptions(management_url=management_url))
    return EmbeddedTransport(address)


def _close_connections(broker: Broker, amqp_url: str) -> bool:
    """Whether any was closed: not before those of a sender and a receiver are there."""
    vhost = urllib.parse.urlsplit(amqp_url).path.removeprefix("/")
    connections = broker.api("GET", f"vhosts/{vhost}/connections")
    if len(connections) < 2:
        return False
    closed = 0
    for connection in connections:
        with suppress(AssertionError):  # it was gone before we came
            broker.api("DELETE", f"connections/{urllib.parse.quote(connection['name'], safe='')}")
            closed += 1
    return closed > 0
