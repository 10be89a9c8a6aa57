"""Worker processes that are killed, asked to stop, or kill themselves: each in the middle of its work."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest

from eventbus import Bus
from eventbus.ids import new_event_id
from tests.conformance.process import Process
from tests.support.broker import Broker
from tests.support.eventually import eventually
from tests.support.fault_proxy import FaultProxy, Method, Way
from tests.support.ledger import Ledger
from tests.support.load import SEEN, TYPE, Publishing, all_handled, auditing, bus_to

PROGRAM = "tests.faults.program"
STARTING = 30.0
LIMIT = 10
"""Deliveries that a message may survive without an outcome; the queues' own is 20."""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "worker.log"


def worker(url: str, *how: str, log: Path) -> AbstractAsyncContextManager[Process]:
    return Process.started(PROGRAM, url, *how, log=log)


async def test_what_a_killed_worker_had_not_acked_is_handed_to_another(
    amqp_url: str, ledger: Ledger, log: Path
):
    async with worker(amqp_url, "hold", log=log) as process, bus_to(amqp_url) as bus:
        await ready(log)
        publishing = Publishing(bus, ledger)
        for _ in range(10):
            await publishing.publish(new_event_id())
        await process.says_lines(10, within=STARTING)
        await process.kill()
        async with bus.running(auditing(ledger)):
            await all_handled(ledger)

    assert ledger.handled[SEEN] == Counter(dict.fromkeys(ledger.confirmed, 1))


async def test_of_a_worker_that_is_killed_while_it_acks_many_together_nothing_is_acked_that_was_not_handled(
    amqp_url: str, ledger: Ledger, log: Path
):
    async with bus_to(amqp_url) as bus:
        async with bus.running(auditing(ledger)):
            pass  # the queue exists from now on
        publishing = Publishing(bus, ledger)
        assert all(await asyncio.gather(*(publishing.publish(new_event_id()) for _ in range(2_000))))
        for _ in range(2):
            async with worker(amqp_url, "quick", log=log) as process:
                await process.says_lines(800, within=STARTING)
                await process.kill()
                ledger.handled[SEEN].update(noted(process.said, "ended"))
        assert ledger.lost(SEEN), "the last kill came too late to be in the middle"
        async with bus.running(auditing(ledger)):
            await all_handled(ledger)

    assert not ledger.lost(SEEN)


async def test_a_worker_killed_between_a_retry_copy_and_its_ack_leaves_two_copies_and_one_effect(
    amqp_url: str, ledger: Ledger, deliveries: Counter[str], log: Path
):
    async with FaultProxy.between(amqp_url) as (proxy, url), bus_to(amqp_url) as bus:
        async with worker(url, "failing", log=log) as process:
            await ready(log)
            lost = proxy.lose_next(Way.UP, Method.ACK)
            event_id = new_event_id()
            assert await Publishing(bus, ledger).publish(event_id)
            async with asyncio.timeout(10):
                await lost
            await process.kill()
        async with bus.running(auditing(ledger)):
            await eventually(lambda: deliveries[event_id] == 2, within=10)

    assert ledger.handled[SEEN] == {event_id: 1}


@pytest.mark.timeout(400)
async def test_a_message_that_kills_its_process_ends_alone_in_the_dead_letters(
    rabbitmq: Broker, vhost: str, amqp_url: str, ledger: Ledger, log: Path
):
    limit = {"pattern": "^audit.seen$", "apply-to": "queues", "definition": {"delivery-limit": LIMIT}}
    await asyncio.to_thread(rabbitmq.api, "PUT", f"policies/{vhost}/limit", limit)
    async with bus_to(amqp_url) as bus:
        async with bus.running(auditing(ledger)):
            pass  # the queue exists from now on
        events = {number: await bus.publish(TYPE, {"order_id": number}) for number in range(1, 31)}
        ledger.confirmed |= {receipt.event_id for receipt in events.values()}
        async with asyncio.timeout(300):
            while not (dead := await bus.transport.dead_letters(SEEN, limit=100)):
                async with worker(amqp_url, "poison", log=log) as process:
                    await eventually(partial(it_has_died_or_its_message, process, bus), within=STARTING)
                    await process.kill()
                    ledger.handled[SEEN].update(noted(process.said, "ended"))
        for letter in dead:
            ledger.dead[SEEN][letter.message.event_id or ""] += 1
        async with bus.running(auditing(ledger)):
            await all_handled(ledger)
        assert len(await bus.transport.dead_letters(SEEN, limit=100)) == 1

    assert ledger.dead[SEEN] == {events[13].event_id: 1}
    assert dead[0].reason == "delivery-limit"
    assert set(ledger.handled[SEEN]) == ledger.confirmed - {events[13].event_id}


async def test_a_worker_that_is_asked_to_stop_finishes_what_it_has_begun(
    amqp_url: str, ledger: Ledger, log: Path
):
    async with worker(amqp_url, "slow", "1.5", log=log) as process, bus_to(amqp_url) as bus:
        await ready(log)
        publishing = Publishing(bus, ledger)
        for _ in range(30):
            assert await publishing.publish(new_event_id())
        await process.says_lines(10, within=10)
        process._process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process._process.wait(), 10) == 0
        await process.kill()

        begun, ended = noted(process.said, "begun"), noted(process.said, "ended")
        assert begun == ended
        async with bus.running(auditing(ledger)):
            ledger.handled[SEEN].update(ended)
            await all_handled(ledger)

    assert ledger.handled[SEEN] == Counter(dict.fromkeys(ledger.confirmed, 1))


async def test_a_second_signal_hurries_and_what_was_begun_is_handed_over_again(
    amqp_url: str, ledger: Ledger, log: Path
):
    async with worker(amqp_url, "hold", log=log) as process, bus_to(amqp_url) as bus:
        await ready(log)
        publishing = Publishing(bus, ledger)
        for _ in range(5):
            assert await publishing.publish(new_event_id())
        await process.says_lines(5, within=10)
        process._process.send_signal(signal.SIGTERM)
        await eventually(lambda: "worker.draining" in log.read_text())
        began = time.monotonic()
        process._process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process._process.wait(), 10) == 0
        assert time.monotonic() - began < 5
        async with bus.running(auditing(ledger)):
            await all_handled(ledger)

    assert ledger.handled[SEEN] == Counter(dict.fromkeys(ledger.confirmed, 1))


async def it_has_died_or_its_message(process: Process, bus: Bus) -> bool:
    (stats,) = await bus.transport.stats([SEEN])
    return process._process.returncode is not None or stats.dead > 0


async def ready(log: Path) -> None:
    await eventually(lambda: "worker.ready" in log.read_text(), within=STARTING)


def noted(said: list[str], what: str) -> list[str]:
    return sorted(line.removeprefix(f"{what} ") for line in said if line.startswith(f"{what} "))
