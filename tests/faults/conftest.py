"""What faults are injected into, and the books of what comes of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence

import pytest

from eventbus.once import Ended
from eventbus.settling import Settling
from tests.support.fault_proxy import FaultProxy
from tests.support.ledger import Ledger


@pytest.fixture
async def proxied(amqp_url: str) -> AsyncIterator[tuple[FaultProxy, str]]:
    """A proxy before the shared broker, and the URL of an empty virtual host through it."""
    async with FaultProxy.between(amqp_url) as proxy:
        yield proxy


@pytest.fixture
def deliveries(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each event came to a subscription of this process and ended, by id."""
    came: Counter[str] = Counter()
    add = Settling.add

    def counting(self: Settling, ended: Sequence[Ended]) -> None:
        came.update(each.delivery.message.event_id or "" for each in ended)
        add(self, ended)

    monkeypatch.setattr(Settling, "add", counting)
    return came


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()
