"""What a network does to connections: resets, lost frames, half frames, a peer that stops reading."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest

from eventbus import Context
from eventbus.errors import PublishTimeout, SendFailed
from eventbus.ids import new_event_id
from eventbus.rabbitmq.spreading import MANY
from tests.support.eventually import eventually
from tests.support.fault_proxy import FaultProxy, Method, Way
from tests.support.ledger import Ledger
from tests.support.load import SEEN, SLACK, TYPE, Publishing, all_handled, auditing, bus_to

Proxied = tuple[FaultProxy, str]

ONCE_OR_TWICE = pytest.mark.parametrize(("deduplicate", "effects"), [(True, 1), (False, 2)])
"""With the inbox a copy has no effect."""


async def test_publishes_cut_off_by_a_reset_have_an_unknown_outcome_and_may_be_repeated(
    proxied: Proxied, amqp_url: str, ledger: Ledger
):
    proxy, url = proxied
    async with bus_to(amqp_url) as direct, bus_to(url) as bus, direct.running(auditing(ledger)):
        publishing = Publishing(bus, ledger, pause=0.0)
        async with publishing.going_on(side_by_side=20):
            for _ in range(5):
                await publishing.confirmed(50)
                proxy.cut()
        await all_handled(ledger)

    assert publishing.failures
    assert None in {failure.sent for failure in publishing.failures}
    assert set(ledger.handled[SEEN]) == set(ledger.published) == ledger.confirmed
    # A copy exists where a try of unknown outcome had arrived, and nowhere else.
    assert all(seen <= ledger.published[event_id] for event_id, seen in ledger.handled[SEEN].items())


@pytest.mark.parametrize(
    ("publishers", "at_once", "more", "connections"),
    [(200, 1, 200, 1), (4, 2 * MANY, 4_000, 2)],
    ids=["one by one", "many at once"],
)
async def test_publishers_whose_connections_are_cut_again_and_again_lose_nothing_and_none_hangs(
    proxied: Proxied,
    amqp_url: str,
    ledger: Ledger,
    publishers: int,
    at_once: int,
    more: int,
    connections: int,
):
    """`more`: events confirmed between two cuts, by which all `connections` are in use."""
    proxy, url = proxied
    async with bus_to(amqp_url) as direct, bus_to(url) as bus, direct.running(auditing(ledger)):
        publishing = Publishing(bus, ledger, timeout=3.0, at_once=at_once)
        async with publishing.going_on(side_by_side=publishers):
            for cuts in range(4):
                made = connections * (cuts + 1)
                await eventually(lambda made=made: proxy.accepted >= made)
                await publishing.confirmed(more)
                proxy.cut()
        await all_handled(ledger)

    assert publishing.failures
    assert ledger.confirmed == set(ledger.published) == set(ledger.handled[SEEN])
    assert publishing.slowest < 3.0 + SLACK


@ONCE_OR_TWICE
async def test_an_event_whose_confirm_was_lost_is_there_and_its_repetition_has_the_same_id(
    proxied: Proxied,
    amqp_url: str,
    ledger: Ledger,
    deliveries: Counter[str],
    deduplicate: bool,
    effects: int,
):
    proxy, url = proxied
    service = auditing(ledger, deduplicate=deduplicate)
    async with bus_to(amqp_url) as direct, bus_to(url) as bus, direct.running(service):
        event_id = new_event_id()
        lost = proxy.lose_next(Way.DOWN, Method.ACK)
        with pytest.raises(PublishTimeout) as failed:
            await bus.publish(TYPE, {"order_id": 1}, event_id=event_id, timeout=3.0)
        assert lost.done()
        assert failed.value.sent is None
        await eventually(lambda: ledger.handled[SEEN][event_id] == 1)

        again = Publishing(bus, ledger)
        assert await again.publish(event_id)
        await eventually(lambda: deliveries[event_id] == 2)

    assert ledger.handled[SEEN] == {event_id: effects}


@ONCE_OR_TWICE
async def test_a_delivery_whose_ack_was_lost_comes_again(
    proxied: Proxied,
    amqp_url: str,
    ledger: Ledger,
    deliveries: Counter[str],
    deduplicate: bool,
    effects: int,
):
    proxy, url = proxied
    service = auditing(ledger, deduplicate=deduplicate)
    async with bus_to(amqp_url) as direct, bus_to(url) as bus, bus.running(service):
        publishing = Publishing(direct, ledger)
        lost = proxy.lose_next(Way.UP, Method.ACK)
        event_id = new_event_id()
        assert await publishing.publish(event_id)
        async with asyncio.timeout(5):
            await lost
        assert ledger.handled[SEEN][event_id] == 1
        proxy.cut()
        await eventually(lambda: deliveries[event_id] == 2)
        other = new_event_id()
        assert await publishing.publish(other)
        await eventually(lambda: ledger.handled[SEEN][other] == 1)

    assert ledger.handled[SEEN] == {event_id: effects, other: 1}


@pytest.mark.parametrize(("way", "method"), [(Way.DOWN, Method.DELIVER), (Way.UP, Method.PUBLISH)])
async def test_half_a_frame_and_then_the_end_is_a_clean_new_beginning(
    proxied: Proxied, ledger: Ledger, way: Way, method: Method
):
    proxy, url = proxied
    async with bus_to(url) as bus, bus.running(auditing(ledger)):
        publishing = Publishing(bus, ledger)
        async with publishing.going_on():
            for _ in range(3):
                await publishing.confirmed(20)
                halved = proxy.halve_next(way, method)
                async with asyncio.timeout(10):
                    await halved
            await publishing.confirmed(20)
        await all_handled(ledger)

    assert set(ledger.handled[SEEN]) == ledger.confirmed


async def test_a_peer_that_stops_reading_costs_a_publish_its_timeout_and_is_used_again_when_it_reads(
    proxied: Proxied, amqp_url: str, ledger: Ledger
):
    proxy, url = proxied
    large = {"order_id": 1, "text": "x" * 500_000}
    async with bus_to(amqp_url) as direct, bus_to(url) as bus, direct.running(auditing(ledger)):
        proxy.stall(Way.UP)
        began = time.monotonic()
        tries = [bus.publish(TYPE, large, timeout=2.0) for _ in range(30)]
        ends = await asyncio.gather(*tries, return_exceptions=True)
        assert time.monotonic() - began < 2.0 + 2 * SLACK  # 15 MB want to be encoded, too
        assert {type(end) for end in ends} == {PublishTimeout}

        proxy.heal()
        assert await Publishing(bus, ledger).publish(new_event_id())
        await all_handled(ledger)


async def test_a_slow_network_loses_nothing(proxied: Proxied, ledger: Ledger):
    proxy, url = proxied
    async with bus_to(url) as bus, bus.running(auditing(ledger)):
        proxy.delay(0.01)
        publishing = Publishing(bus, ledger)
        async with publishing.going_on():
            await publishing.confirmed(30, within=20)
        await all_handled(ledger)

    assert not publishing.failures
    assert ledger.duplicates(SEEN) == 0


@ONCE_OR_TWICE
async def test_a_retry_whose_ack_was_lost_leaves_two_copies_of_one_event(
    proxied: Proxied,
    amqp_url: str,
    ledger: Ledger,
    deliveries: Counter[str],
    deduplicate: bool,
    effects: int,
):
    async def fail_at_first(context: Context) -> None:
        if context.attempt == 1:
            raise ConnectionError("the gateway is away")

    proxy, url = proxied
    service = auditing(ledger, fail_at_first, deduplicate=deduplicate)
    async with bus_to(amqp_url) as direct, bus_to(url) as bus, bus.running(service):
        lost = proxy.lose_next(Way.UP, Method.ACK)
        event_id = new_event_id()
        assert await Publishing(direct, ledger).publish(event_id)
        async with asyncio.timeout(5):
            await lost  # the copy is confirmed, and the original not acked
        proxy.cut()
        # Both come: the copy, and the copy of the original that came again.
        await eventually(lambda: deliveries[event_id] == 4, within=15)

    assert ledger.handled[SEEN] == {event_id: effects}


async def test_a_silent_network_is_noticed_by_the_heartbeat_and_never_looks_like_a_cancellation(
    proxied: Proxied, ledger: Ledger
):
    proxy, url = proxied
    async with bus_to(f"{url}?heartbeat=1") as bus, bus.running(auditing(ledger)):
        publishing = Publishing(bus, ledger, timeout=20.0)
        assert await publishing.publish(new_event_id())
        proxy.black_hole()
        with pytest.raises(SendFailed) as failed:
            await bus.publish(TYPE, {"order_id": 1}, timeout=20.0)
        assert failed.value.sent is None
        proxy.heal()
        assert await publishing.publish(new_event_id())
        await all_handled(ledger)
