"""What becomes of dead letters in hand when the connection is lost before their acks have arrived."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from eventbus.codec import Codec
from eventbus.dead_letters import AuditLog, DeadLetters, correct
from eventbus.registry import Registry
from tests.conformance import drive
from tests.conformance.drive import CHARGE
from tests.conformance.kinds import connect
from tests.support.eventually import eventually
from tests.support.fault_proxy import FaultProxy, Method, Way

pytestmark = pytest.mark.parametrize("place", ["rabbitmq"], indirect=True)


@asynccontextmanager
async def letters_through_a_proxy(place) -> AsyncIterator[tuple[DeadLetters, FaultProxy]]:
    async with FaultProxy.between(place.url) as (proxy, through):
        transport = connect(place.kind, through, place.management_url)
        await transport.open()
        try:
            yield DeadLetters(transport, CHARGE), proxy
        finally:
            await transport.close()


async def test_a_discard_whose_first_ack_is_cut_off_removes_all_and_each_once(place):
    await place.give_up(20)
    audit = place.directory / "audit.jsonl"

    async with letters_through_a_proxy(place) as (letters, proxy):
        cut = proxy.halve_next(Way.UP, Method.ACK)
        moved = await letters.discard(why="test cards", audit=AuditLog.at(audit), rate=50)

    assert cut.done()
    assert (moved.done, moved.unsure, moved.missing) == (20, 0, 0)
    assert await place.dead() == []
    assert len(audit.read_text().splitlines()) == 20


async def test_a_redrive_whose_first_ack_is_cut_off_sends_none_twice(place):
    sent = await place.give_up(20)

    async with letters_through_a_proxy(place) as (letters, proxy):
        cut = proxy.halve_next(Way.UP, Method.ACK)
        moved = await letters.redrive(limit=15, rate=50)

    assert cut.done()
    assert (moved.done, moved.unsure) == (15, 0)
    assert await place.dead() == sent[15:]
    assert sorted(drive.ids(await drive.contents(place.transport, CHARGE))) == sent[:15]


async def test_a_correction_whose_ack_is_cut_off_is_sent_once_and_its_dead_letter_goes(place):
    sent = await place.give_up(3)

    async with letters_through_a_proxy(place) as (letters, proxy):
        entry = await letters.find(sent[1])
        assert entry is not None
        correction = correct(entry, '{"order_id": 77}', Registry(), Codec(), CHARGE)
        cut = proxy.halve_next(Way.UP, Method.ACK)
        audit = AuditLog.at(place.directory / "audit.jsonl")
        moved = await letters.replace(correction, why="mended", audit=audit)

    assert cut.done()
    assert (moved.done, moved.unsure) == (1, 0)
    assert await place.dead() == [sent[0], sent[2]]
    assert drive.ids(await drive.contents(place.transport, CHARGE)) == [correction.event_id]


async def test_what_nobody_knows_to_be_gone_is_not_counted_and_makes_it_done_in_part(place):
    sent = await place.give_up(20)
    audit = place.directory / "eventbus-audit.jsonl"

    async with FaultProxy.between(place.url) as (proxy, through):
        arguments = ("--reason", "test cards", "--rate", "10", "--yes")
        known = {"EVENTBUS_URL": through, "EVENTBUS_CONNECT_TIMEOUT": "2"}
        async with place.started("discard", CHARGE, *arguments, **known) as process:
            await eventually(lambda: audit.exists() and audit.read_bytes(), within=20)
            proxy.black_hole()
            _, err = await asyncio.wait_for(process.communicate(), 60)

    assert (process.returncode, err.decode().splitlines()[-1]) == (3, "0 discarded")
    assert "20 more were carried out, and may still be there" in err.decode()
    await eventually(lambda: _some_are_back(place), within=60)
    assert set(await place.dead()) <= set(sent)


async def _some_are_back(place) -> bool:
    """The broker has found out that the connection is dead."""
    stats = await drive.stats_of(place.transport, CHARGE)
    return stats.dead > 0 and stats.dead_consumers == 0
