"""A broker that is busy is not away: what `on_unavailable` names is for one that says nothing any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from eventbus import Bus, Envelope, Event
from eventbus.settings import Settings
from tests.support.fault_proxy import FaultProxy, Way

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

EVENTS = 900
PATIENCE = 1.5
"""Seconds. All of them take at least twice as long."""
BYTES_A_SECOND = 250_000


class Placed(Event, type="order.placed"):
    number: int
    note: str = "x" * 400


@pytest.mark.parametrize("how", ["function", "spool"])
async def test_many_events_that_take_longer_than_its_patience_all_go_to_the_broker(
    amqp_url: str, tmp_path_factory: pytest.TempPathFactory, how: str
):
    called: list[Envelope[Placed]] = []
    instead: Literal["spool"] | Callable[[Envelope[Placed]], None] = (
        "spool" if how == "spool" else called.append
    )
    async with FaultProxy.between(amqp_url) as (proxy, url):
        settings = Settings(
            url=url, spool_after=PATIENCE, spool=str(tmp_path_factory.mktemp("s") / "spool.db")
        )
        async with Bus(url, source="shop", settings=settings, on_unavailable=instead) as bus:
            await bus.publish(Placed(number=-1))
            proxy.throttle(Way.UP, BYTES_A_SECOND)

            receipts = await bus.publish_many((Placed(number=n) for n in range(EVENTS)), timeout=60)

            proxy.heal()
            proxy.black_hole(Way.DOWN)
            last = await bus.publish(Placed(number=EVENTS), timeout=60)
            proxy.cut()
            proxy.heal()
    assert {receipt.state for receipt in receipts} == {"confirmed"}
    assert last.state == ("spooled" if how == "spool" else "degraded")
    assert len(called) == (how == "function")
