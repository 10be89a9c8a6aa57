"""A worker that ends at each point of an event's way: what it was doing is done by another, once."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from eventbus import Service, subscribe
from tests.conformance.process import Process
from tests.faults.crash_program import EFFECTS, STORE, Asked, Done
from tests.support.eventually import eventually
from tests.support.load import bus_to

PROGRAM = "tests.faults.crash_program"
STARTING = 30.0
NUMBERS = range(10)
LAST = 10
"""Published when the worker is dead: what came back to the queue is handled before it."""
ALL = range(11)

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

    assert effects == Counter(ALL)
    assert told == Counter(ALL)


@pytest.mark.parametrize("point", LEASED_ONCE)
async def test_what_the_inbox_knows_is_not_done_again(amqp_url: str, tmp_path: Path, point: str):
    effects, told = await crashed(amqp_url, tmp_path, "leased", point)

    assert effects == Counter(ALL)
    assert told == Counter(ALL)


@pytest.mark.parametrize("point", LEASED_TWICE)
async def test_without_a_transaction_what_the_inbox_does_not_know_yet_is_done_again(
    amqp_url: str, tmp_path: Path, point: str
):
    effects, told = await crashed(amqp_url, tmp_path, "leased", point)

    assert set(effects) == set(ALL)
    assert effects.total() == len(ALL) + 1
    assert told == Counter(ALL)


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
        await bus.publish(Asked(number=LAST))
        async with Process.started(PROGRAM, url, how, "never", log=place / "second.log"):
            await eventually(lambda: set(told) == set(ALL), within=STARTING)
    with closing(sqlite3.connect(place / STORE)) as database:
        return Counter(number for (number,) in database.execute("SELECT number FROM effect")), told
