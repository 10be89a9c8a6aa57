"""Every test of this folder runs on every kind of broker, unless it names the kinds that it is for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.conformance.kinds import KINDS, TransportFactory
from tests.conformance.sizes import TEST_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator
    from concurrent.futures import Executor

    from eventbus.transport import Transport
    from tests.support.broker import Broker


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(TEST_TIMEOUT))


@pytest.fixture(scope="session")
def removals() -> Iterator[Executor]:
    """Who removes virtual hosts: it takes longer than most of the tests, which need not wait for it."""
    with ThreadPoolExecutor(max_workers=1) as executor:
        yield executor


@pytest.fixture
def vhost(rabbitmq: Broker, removals: Executor) -> Iterator[str]:
    name = rabbitmq.create_vhost()
    yield name
    removals.submit(rabbitmq.delete_vhost, name)


@pytest.fixture(params=KINDS)
def transport_factory(request: pytest.FixtureRequest, tmp_path: Path) -> TransportFactory:
    """A broker that nothing has been declared on; parametrise it with `indirect=True` to choose kinds."""
    match request.param:
        case "memory":
            return TransportFactory("memory", ":memory:")
        case "file":
            return TransportFactory("file", str(tmp_path / "events.db"))
        case "rabbitmq":
            url, broker = request.getfixturevalue("amqp_url"), request.getfixturevalue("rabbitmq")
            return TransportFactory("rabbitmq", url, management=broker)
        case unknown:
            pytest.fail(f"no such kind of broker: {unknown}")


@pytest_asyncio.fixture
async def transport(transport_factory: TransportFactory) -> AsyncGenerator[Transport]:
    """An open one."""
    async with transport_factory.opened() as transport:
        yield transport
