"""Making one connection: to the first of the address's hosts that takes it."""

from __future__ import annotations

import asyncio
import random
from ssl import SSLContext
from typing import Final

import aio_pika
from aio_pika.connection import make_url
from pamqp.common import FieldTable
from yarl import URL

from eventbus.errors import ConfigurationError, describe
from eventbus.logs import get_logger
from eventbus.rabbitmq.address import Address, in_url
from eventbus.rabbitmq.ask import Lost, Refused, ask
from eventbus.rabbitmq.options import RabbitMQOptions
from eventbus.rabbitmq.stream import HotStreams

NAMESPACE: Final = "eventbus_namespace"
PURPOSE: Final = "eventbus_purpose"
"""What a connection says of itself, for those who look at it in the broker."""

_CLOSE_TIMEOUT: Final = 5.0


class HotConnection(aio_pika.Connection):
    """A connection whose frequent frames go past the driver."""

    def __init__(self, url: URL, context: SSLContext | None, properties: FieldTable) -> None:
        super().__init__(url, ssl_context=context, client_properties=properties)
        self.streams = HotStreams()
        # aio-pika hands these to the driver, and drops from its own arguments what it does not know.
        self.kwargs["transport_factory"] = self.streams


class Dialer:
    """Begins at a host by chance, so that many processes spread over them, and goes on in their order.

    After a loss it begins at the host after the one that was connected: that one may be going down.
    """

    def __init__(self, address: Address, options: RabbitMQOptions, purpose: str) -> None:
        self._address = address
        self._options = options
        self._purpose = purpose
        self._next = random.randrange(len(address.hosts))

    async def connect(self) -> HotConnection:
        """Each host is tried once, with an equal share of the connect timeout.

        Raises `Refused` if one of them refuses us and none takes us, else `Lost`; several hosts are named
        with the problem of each, in the order of the URL.
        """
        hosts = self._address.hosts
        within = self._options.connect_timeout / len(hosts)
        problems: dict[int, Exception] = {}
        for _ in hosts:
            number, self._next = self._next, (self._next + 1) % len(hosts)
            try:
                return await self._connect_to(*hosts[number], within=within)
            except ConfigurationError:
                raise  # a certificate that cannot be read is the same for all
            except Exception as error:
                if len(hosts) == 1:
                    raise
                problems[number] = error
        raise self._all(problems)

    def _all(self, problems: dict[int, Exception]) -> Lost | Refused:
        told = "; ".join(
            f"{in_url(*host)}: {_said(problems[number])}" for number, host in enumerate(self._address.hosts)
        )
        refusals = [error for error in problems.values() if isinstance(error, Refused)]
        return Refused(refusals[0].code, told) if refusals else Lost(told)

    async def _connect_to(self, host: str, port: int, *, within: float) -> HotConnection:
        url = make_url(
            host=host,
            port=port,
            login=self._address.user,
            password=self._address.password,
            virtualhost=self._address.vhost,
            ssl=self._address.tls,
            heartbeat=self._address.heartbeat or self._options.heartbeat,
            name=f"{self._options.connection_name} {self._purpose}",
        )
        context = await asyncio.to_thread(self._address.ssl_context) if self._address.tls else None
        ours: FieldTable = {NAMESPACE: self._options.namespace, PURPOSE: self._purpose}
        connection = HotConnection(url, context, ours)
        try:
            await ask(connection.connect(), within=within)
        except BaseException:
            # Its finalizer would close it, wherever the garbage collector runs: in a loop of somebody else.
            await close(connection)
            raise
        return connection


async def close(connection: aio_pika.Connection) -> None:
    """Within bounds, and whatever it says."""
    try:
        await ask(connection.close(), within=_CLOSE_TIMEOUT)
    except Exception as error:  # noqa: BLE001  it is going away, one way or the other
        get_logger("eventbus.rabbitmq").debug("broker.close_failed", error=describe(error))


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, (Lost, Refused)) else describe(error)
