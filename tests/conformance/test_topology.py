"""Making the queues and bindings exist, and seeing where they do not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from eventbus.errors import TopologyError
from eventbus.transport import Topology
from tests.conformance import drive
from tests.conformance.drive import CHARGE, CHARGE_ALONE, CHARGE_AND_NOTIFY, NOTIFY, ORDER_CREATED
from tests.conformance.kinds import ACROSS_PROCESSES

if TYPE_CHECKING:
    from eventbus.transport import Transport
    from tests.conformance.kinds import TransportFactory

pytestmark = pytest.mark.empty_vhost


async def test_applying_twice_is_harmless_and_keeps_what_is_in_the_queues(transport: Transport) -> None:
    await transport.apply(CHARGE_AND_NOTIFY)
    sent = drive.some_messages(5)
    await drive.send(transport, *sent)
    await transport.apply(CHARGE_AND_NOTIFY)
    await transport.apply(CHARGE_ALONE)

    for queue in (CHARGE, NOTIFY):
        assert drive.ids(await drive.contents(transport, queue)) == drive.ids(sent)


async def test_a_topology_without_queues_is_enough_for_the_history(transport: Transport) -> None:
    await transport.apply(Topology())
    sent = drive.some_messages(3)
    await drive.send(transport, *sent)

    assert drive.ids(await drive.history(transport, "first", 3)) == drive.ids(sent)


async def test_the_patterns_of_a_queue_can_be_asked_for(transport: Transport) -> None:
    await transport.apply(drive.topology(**{CHARGE: ["order.*", "payment.#"], NOTIFY: [ORDER_CREATED]}))

    assert list(await transport.patterns(CHARGE)) == ["order.*", "payment.#"]
    assert list(await transport.queues()) == [NOTIFY, CHARGE]
    with pytest.raises(TopologyError):
        await transport.patterns("nobody.subscribes")


async def test_there_is_no_drift_after_apply(transport: Transport) -> None:
    await transport.apply(CHARGE_AND_NOTIFY)

    assert list(await transport.diff(CHARGE_AND_NOTIFY)) == []


async def test_a_missing_queue_is_drift(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)

    drifts = await transport.diff(CHARGE_AND_NOTIFY)

    assert {drift.kind for drift in drifts} == {"missing"}
    assert f"queue {NOTIFY}" in [drift.what for drift in drifts]
    assert not [drift for drift in drifts if CHARGE in drift.what]
    assert all(drift.fix for drift in drifts)


async def test_a_missing_binding_is_drift(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    wanted = drive.topology(**{CHARGE: [ORDER_CREATED, "order.paid"]})

    drifts = await transport.diff(wanted)

    assert ("missing", f"binding order.paid → {CHARGE}") in [(drift.kind, drift.what) for drift in drifts]
    assert all(drift.kind == "missing" and "order.paid" in drift.what and drift.fix for drift in drifts)


async def test_a_binding_that_nobody_asked_for_is_drift(transport: Transport) -> None:
    await transport.apply(drive.topology(**{CHARGE: [ORDER_CREATED, "order.paid"]}))

    drifts = await transport.diff(CHARGE_ALONE)

    assert ("unexpected", f"binding order.paid → {CHARGE}") in [(drift.kind, drift.what) for drift in drifts]
    assert all(drift.kind == "unexpected" and "order.paid" in drift.what and drift.fix for drift in drifts)


async def test_a_queue_of_a_service_that_no_subscription_has_any_more_is_drift(transport: Transport) -> None:
    before = drive.topology(**{"payment.refund": [ORDER_CREATED], CHARGE: [ORDER_CREATED], NOTIFY: ["#"]})
    await transport.apply(before)

    (drift,) = await transport.diff(CHARGE_ALONE)

    assert (drift.kind, drift.what) == ("unexpected", "queue payment.refund")
    assert "payment.refund.dead" in drift.fix
    assert list(await transport.diff(before)) == []


async def test_looking_for_drift_changes_nothing(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)

    first = await transport.diff(CHARGE_AND_NOTIFY)
    again = await transport.diff(CHARGE_AND_NOTIFY)

    assert list(again) == list(first) != []


async def test_applying_adds_what_is_missing(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    wanted = drive.topology(**{CHARGE: [ORDER_CREATED, "order.paid"], NOTIFY: ["#"]})
    await transport.apply(wanted)
    sent = [drive.a_message("order.paid"), drive.a_message()]
    await drive.send(transport, *sent)

    assert list(await transport.diff(wanted)) == []
    for queue in (CHARGE, NOTIFY):
        assert drive.ids(await drive.contents(transport, queue)) == drive.ids(sent)


async def test_pruning_unbinds_what_a_queue_is_not_to_get_any_more_and_nothing_else(
    transport: Transport,
) -> None:
    await transport.apply(drive.topology(**{CHARGE: ["order.*", ORDER_CREATED], NOTIFY: ["order.*"]}))
    before = drive.a_message("order.paid")
    await drive.send(transport, before)

    await transport.prune(CHARGE_ALONE)

    assert list(await transport.diff(CHARGE_ALONE)) == []
    assert list(await transport.patterns(CHARGE)) == [ORDER_CREATED]
    assert list(await transport.patterns(NOTIFY)) == ["order.*"]
    unwanted = [drive.a_message("order.paid"), drive.a_message("order.paid", delay=1.0)]
    wanted = [drive.a_message(), drive.a_message("order.paid", queue=CHARGE)]
    wanted += [drive.a_message(delay=2.0), drive.a_message("order.paid", queue=CHARGE, delay=2.0)]
    await drive.send(transport, *unwanted, *wanted)
    async with transport.consume(CHARGE, prefetch=10) as consumption:
        assert sorted(drive.ids(await drive.collect(consumption, 5))) == sorted(drive.ids([before, *wanted]))
    assert drive.ids(await drive.contents(transport, NOTIFY)) == drive.ids(
        [before, unwanted[0], wanted[0], unwanted[1], wanted[2]]
    )


async def test_there_is_nothing_to_prune_where_nothing_was_applied(transport: Transport) -> None:
    await transport.apply(Topology())
    await transport.prune(CHARGE_ALONE)

    assert list(await transport.queues()) == []


@ACROSS_PROCESSES
async def test_two_transports_apply_the_same_at_once(
    transport_factory: TransportFactory, transport: Transport
) -> None:
    async with transport_factory.opened() as another:
        appliers = (transport, another, transport, another)
        await asyncio.gather(*(each.apply(CHARGE_AND_NOTIFY) for each in appliers))

        sent = drive.a_message()
        await drive.send(another, sent)
        assert drive.ids(await drive.contents(transport, CHARGE)) == [sent.event_id]
        assert list(await another.diff(CHARGE_AND_NOTIFY)) == []


@ACROSS_PROCESSES
async def test_what_one_transport_sends_another_receives(
    transport_factory: TransportFactory, transport: Transport
) -> None:
    await transport.apply(CHARGE_ALONE)
    sent = drive.some_messages(20)
    async with transport_factory.opened() as another, another.consume(CHARGE, prefetch=10) as consumption:
        await drive.send(transport, *sent)
        assert drive.ids(await drive.collect(consumption, 20)) == drive.ids(sent)


@ACROSS_PROCESSES
async def test_queues_outlive_the_transport_that_made_them(transport_factory: TransportFactory) -> None:
    sent = drive.some_messages(20)
    async with transport_factory.opened() as first:
        await first.apply(CHARGE_ALONE)
        await drive.send(first, *sent)

    async with transport_factory.opened() as second:
        assert drive.ids(await drive.contents(second, CHARGE)) == drive.ids(sent)
        assert drive.ids(await drive.history(second, "first", 20)) == drive.ids(sent)
