"""The broker goes away under load, and nobody who publishes notices; what waits survives this process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.conformance.process import Process
from tests.conformance.sizes import OUTAGE
from tests.support.eventually import eventually
from tests.support.load import SLACK
from tests.support.rabbitmq_node import SETTLING, RabbitNode
from tests.support.spooling import Shop, first_of_each, spooling_to

TIMEOUT = 3.0
KEYS = ("a", "b", "c", "d")
PROGRAM = "tests.faults.spool_program"


class Load:
    """Publishes the events of each key one after another."""

    def __init__(self, shop: Shop) -> None:
        self.published: dict[str, list[str]] = {key: [] for key in KEYS}
        self.states: list[str] = []
        self.slowest = 0.0
        self._shop = shop
        self._is_over = False

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """An error of any publish is raised from it."""
        async with asyncio.TaskGroup() as group:
            for key in KEYS:
                group.create_task(self._run(key))
            try:
                yield
            finally:
                self._is_over = True

    @property
    def count(self) -> int:
        return sum(map(len, self.published.values()))

    async def comes_to(self, state: str, *, within: float) -> None:
        """Return when an event that is published from now on ends like this."""
        done = len(self.states)
        await eventually(lambda: state in self.states[done:], within=within)

    async def _run(self, key: str) -> None:
        while not self._is_over:
            event_id = f"{key}-{len(self.published[key])}"
            self.published[key].append(event_id)
            began = time.monotonic()
            receipt = await self._shop.publish(event_id, key=key, timeout=TIMEOUT)
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.states.append(receipt.state)
            await asyncio.sleep(0.005)


@asynccontextmanager
async def frozen(node: RabbitNode) -> AsyncIterator[None]:
    node.pause()
    try:
        yield
    finally:
        node.resume()


@asynccontextmanager
async def killed(node: RabbitNode) -> AsyncIterator[None]:
    await asyncio.to_thread(node.kill)
    try:
        yield
    finally:
        await asyncio.to_thread(node.start)


@asynccontextmanager
async def alarmed(node: RabbitNode) -> AsyncIterator[None]:
    await asyncio.to_thread(node.ctl, "set_disk_free_limit", "9999GB")
    try:
        yield
    finally:
        await asyncio.to_thread(node.ctl, "set_disk_free_limit", "50MB")


@pytest.mark.parametrize("away", [frozen, killed, alarmed])
async def test_while_the_broker_is_away_no_publish_fails_or_is_late_and_all_arrive_in_order(
    node: RabbitNode, node_url: str, tmp_path: Path, away: object
):
    async with spooling_to(node_url, tmp_path / "spool.db") as shop:
        load = Load(shop)
        await asyncio.sleep(SETTLING)
        async with load.going_on():
            await load.comes_to("confirmed", within=10)
            async with away(node):  # type: ignore[operator]
                await load.comes_to("spooled", within=10)
                await asyncio.sleep(OUTAGE)
            await load.comes_to("confirmed", within=60)
        arrived = await shop.arrived(load.count)

    assert load.slowest < TIMEOUT + SLACK
    first = first_of_each(arrived)
    for key in KEYS:
        assert [each for each in first if each.startswith(key)] == load.published[key]
    copies = len(arrived) - len(first)
    # One of each key was on its way when the broker went, and one batch of the relay may have been.
    assert copies <= 100


def nobody_at(url: str) -> str:
    """The same bus, at a place where no broker is."""
    return urlsplit(url)._replace(netloc="guest:guest@127.0.0.1:1").geturl()


def process(url: str, spool: Path, *how: str, log: Path) -> AbstractAsyncContextManager[Process]:
    return Process.started(PROGRAM, url, str(spool), *how, log=log)


async def test_what_a_killed_process_has_spooled_is_sent_by_the_next(amqp_url: str, tmp_path: Path):
    spool = tmp_path / "spool.db"
    async with process(nobody_at(amqp_url), spool, "keep", "200", log=tmp_path / "log") as filling:
        await filling.says_lines(150, within=60)
        await filling.kill()
        spooled = ids_of(filling.said, "spooled")

    async with spooling_to(amqp_url, spool) as shop:
        arrived = await shop.arrived(len(spooled), within=60)

    assert len(spooled) >= 150
    assert arrived[: len(spooled)] == spooled


async def test_two_processes_share_a_spool_and_one_that_is_killed_leaves_nothing_behind(
    amqp_url: str, tmp_path: Path
):
    spool = tmp_path / "spool.db"
    async with process(nobody_at(amqp_url), spool, "keep", "100", log=tmp_path / "log") as filling:
        await filling.says("done", within=60)
        async with spooling_to(amqp_url, spool) as shop:
            await filling.kill()
            await shop.publish("mine", key="mine")
            arrived = await shop.arrived(101, within=60)

    assert set(arrived) == {*ids_of(filling.said, "spooled"), "mine"}


async def test_on_a_full_disk_it_refuses_and_what_it_has_taken_is_sent(amqp_url: str, tmp_path: Path):
    spool = tmp_path / "spool.db"
    async with process(nobody_at(amqp_url), spool, "starve", "1500000", log=tmp_path / "log") as starving:
        await starving.says("done", within=60)
        await starving.kill()
    spooled = ids_of(starving.said, "spooled")
    assert "refused sent=False" in starving.said
    assert len(spooled) > 50

    async with spooling_to(amqp_url, spool) as shop:
        arrived = await shop.arrived(len(spooled), within=60)
    assert arrived == spooled


def ids_of(said: list[str], state: str) -> list[str]:
    return [line.removeprefix(f"{state} ") for line in said if line.startswith(f"{state} ")]
