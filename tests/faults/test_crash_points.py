"""A worker that ends at each point of an event's way: what it was doing is done by another, once."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from eventbus import Bus, Service, subscribe
from tests.conformance.process import Process
from tests.faults.crash_program import EFFECTS, STORE, Asked, Done
from tests.support.eventually import eventually
from tests.support.load import bus_to

PROGRAM = "tests.faults.crash_program"
STARTING = 30.0
NUMBERS = range(10)

ANY_WORKER = ("before the claim", "after the claim", "before the ack")
LEASED_ONCE = (*ANY_WORKER, "after the mark")
TRANSACTIONAL = (
    *ANY_WORKER,
    "after the effect",
    "before the commit",
    "after the commit",
    "before the relay sends",
    "after the relay has sent",
)
LEASED_TWICE = ("after the effect", "before the event is sent", "after the event was sent", "before the mark")


@pytest.mark.parametrize("point", TRANSACTIONAL)
async def test_with_a_transaction_the_effect_and_its_event_are_there_once(
    amqp_url: str, tmp_path: Path, point: str
):
    effects, told = await crashed(amqp_url, tmp_path, "transactional", point)

    assert effects == Counter(NUMBERS)
    assert told == Counter(NUMBERS)


@pytest.mark.parametrize("point", LEASED_ONCE)
async def test_what_the_inbox_knows_is_not_done_again(amqp_url: str, tmp_path: Path, point: str):
    effects, told = await crashed(amqp_url, tmp_path, "leased", point)

    assert effects == Counter(NUMBERS)
    assert told == Counter(NUMBERS)


@pytest.mark.parametrize("point", LEASED_TWICE)
async def test_without_a_transaction_what_the_inbox_does_not_know_yet_is_done_again(
    amqp_url: str, tmp_path: Path, point: str
):
    effects, told = await crashed(amqp_url, tmp_path, "leased", point)

    assert set(effects) == set(NUMBERS)
    assert len(NUMBERS) < effects.total() <= len(NUMBERS) + 2  # at most what was being handled
    assert told == Counter(NUMBERS)


async def crashed(url: str, place: Path, how: str, point: str) -> tuple[Counter[int], Counter[int]]:
    """How often each event had its effect, and how often others heard of that, with one crash on the way."""
    told: Counter[int] = Counter()

    @subscribe(Done)
    async def hear(event: Done) -> None:
        told[event.number] += 1

    with closing(sqlite3.connect(place / STORE)) as database:
        database.execute(EFFECTS)
    async with (
        bus_to(url, store=f"sqlite:///{place / 'listener.db'}") as bus,
        bus.running(Service("listener", [hear])),
    ):
        async with Process.started(PROGRAM, url, how, point, log=place / "first.log") as first:
            await first.says("ready", within=STARTING)
            await bus.publish_many([Asked(number=number) for number in NUMBERS])
            await first.ends(within=STARTING)
        async with Process.started(PROGRAM, url, how, "never", log=place / "second.log"):
            await eventually(lambda: set(told) == set(NUMBERS), within=STARTING)
            await eventually(partial(is_empty, bus), within=STARTING)
    with closing(sqlite3.connect(place / STORE)) as database:
        return Counter(number for (number,) in database.execute("SELECT number FROM effect")), told


async def is_empty(bus: Bus) -> bool:
    stats = await bus.transport.stats(["crash.work", "listener.hear"])
    return not any(each.ready or each.in_flight for each in stats)
