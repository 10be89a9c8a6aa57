"""Every test of this folder runs on every kind of broker, unless it names the kinds that it is for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.conformance.kinds import KINDS, TransportFactory
from tests.conformance.sizes import TEST_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from eventbus.transport import Transport


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(TEST_TIMEOUT))


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
