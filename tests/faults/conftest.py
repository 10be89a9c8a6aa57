"""A node to hurt: one for each process that runs tests, made whole again before the next test gets it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest

from eventbus.once import Settled
from eventbus.pipeline import Pipeline
from eventbus.transport import Delivery
from tests.conftest import RUN_DIRECTORY
from tests.support.fault_proxy import FaultProxy
from tests.support.ledger import Ledger
from tests.support.rabbitmq_node import RabbitNode


@pytest.fixture(scope="session")
def victim(pytestconfig: pytest.Config) -> Iterator[RabbitNode]:
    node = RabbitNode(pytestconfig.stash[RUN_DIRECTORY])
    yield node
    node.remove()


@pytest.fixture
def node(victim: RabbitNode) -> Iterator[RabbitNode]:
    """It runs, whatever the test before has done to it."""
    if not victim.is_running:
        victim.start()
    yield victim
    if victim.is_running:
        victim.resume()


@pytest.fixture
def node_url(node: RabbitNode) -> Iterator[str]:
    """An empty virtual host of the node."""
    vhost = node.broker.create_vhost()
    yield node.amqp_url(vhost)
    if not node.is_running:
        node.start()
    node.resume()
    node.broker.delete_vhost(vhost)


@pytest.fixture
async def proxied(amqp_url: str) -> AsyncIterator[tuple[FaultProxy, str]]:
    """A proxy before the shared broker, and the URL of an empty virtual host through it."""
    async with FaultProxy.between(amqp_url) as proxy:
        yield proxy


@pytest.fixture
def deliveries(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each event came to a subscription of this process and left its pipeline, by id."""
    came: Counter[str] = Counter()
    process = Pipeline.process

    async def counting(self: Pipeline, deliveries: Sequence[Delivery]) -> list[Settled]:
        ended = await process(self, deliveries)
        came.update(delivery.message.event_id or "" for delivery, _ in ended)
        return ended

    monkeypatch.setattr(Pipeline, "process", counting)
    return came


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()
