"""A transport to the real broker, on a virtual host of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest
import pytest_asyncio

from tests.integration.rabbitmq.scene import opened_at

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from eventbus.rabbitmq import RabbitMQTransport
    from tests.support.broker import Broker


class OpenTransport(Protocol):
    def __call__(self, **options: object) -> AbstractAsyncContextManager[RabbitMQTransport]: ...


@pytest.fixture
def opened(amqp_url: str, rabbitmq: Broker) -> OpenTransport:
    """Opens another transport to the same virtual host, with options of its own."""

    def opening(**options: object) -> AbstractAsyncContextManager[RabbitMQTransport]:
        return opened_at(amqp_url, **{"management_url": rabbitmq.http_url, **options})

    return opening


@pytest_asyncio.fixture
async def transport(opened: OpenTransport) -> AsyncIterator[RabbitMQTransport]:
    async with opened() as transport:
        yield transport
