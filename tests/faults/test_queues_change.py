"""Queues that somebody changes or deletes while services use them, and what happens to one subscription."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pika
import pytest

from eventbus import Bus, Context, Reject, Service, subscribe
from eventbus.ids import new_event_id
from tests.support.broker import Broker
from tests.support.eventually import eventually
from tests.support.ledger import Ledger
from tests.support.load import SEEN, TYPE, Publishing, all_handled, auditing, bus_to


def lines(caplog: pytest.LogCaptureFixture, beginning: str) -> list[str]:
    return [line for line in caplog.messages if line.startswith(beginning)]


async def test_without_a_dead_letter_queue_the_message_stays_until_there_is_one_and_the_log_says_so(
    rabbitmq: Broker, vhost: str, amqp_url: str, ledger: Ledger, caplog: pytest.LogCaptureFixture
):
    async def reject(_: Context) -> None:
        raise Reject("no such order")

    async with bus_to(amqp_url) as bus, bus.running(auditing(ledger, reject)):
        await asyncio.to_thread(rabbitmq.api, "DELETE", f"queues/{vhost}/{SEEN}.dead")
        event_id = new_event_id()
        assert await Publishing(bus, ledger).publish(event_id)
        await eventually(lambda: lines(caplog, "copy.failed"))
        assert any(
            record.levelname == "ERROR" for record in caplog.records if "copy.failed" in record.message
        )
        # It is tried again, so it is still there; and nobody has it but this worker.
        await eventually(lambda: len(lines(caplog, "copy.failed")) >= 2, within=15)

        await bus.transport.apply(auditing(ledger).topology)
        await eventually(lambda: bus.transport.dead_letters(SEEN, limit=10), within=20)
        (dead,) = await bus.transport.dead_letters(SEEN, limit=10)
        assert dead.message.event_id == event_id


async def test_until_a_dead_letter_has_a_queue_its_handler_does_not_run_again(
    rabbitmq: Broker,
    vhost: str,
    amqp_url: str,
    ledger: Ledger,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("eventbus.rabbitmq.settling._FIRST_PAUSE", 0.02)
    monkeypatch.setattr("eventbus.rabbitmq.settling._LONGEST_PAUSE", 0.05)
    runs: list[str] = []

    async def reject(context: Context) -> None:
        runs.append(context.envelope.event_id)
        raise Reject("no such order")

    async with bus_to(amqp_url) as bus:
        async with bus.running(auditing(ledger, reject)):
            await asyncio.to_thread(rabbitmq.api, "DELETE", f"queues/{vhost}/{SEEN}.dead")
            first, second = new_event_id(), new_event_id()
            assert await Publishing(bus, ledger).publish(first)
            await eventually(lambda: len(lines(caplog, "copy.failed")) >= 20, within=30)
            assert runs == [first]
            await bus.transport.apply(auditing(ledger).topology)
            (dead,) = await eventually(lambda: bus.transport.dead_letters(SEEN, limit=10), within=20)
            assert (dead.message.event_id, dead.reason, runs) == (first, "rejected", [first])

            await asyncio.to_thread(rabbitmq.api, "DELETE", f"queues/{vhost}/{SEEN}.dead")
            caplog.clear()
            assert await Publishing(bus, ledger).publish(second)
            await eventually(lambda: lines(caplog, "copy.failed"), within=20)

        async def back_in_its_queue() -> bool:
            (stats,) = await bus.transport.stats([SEEN])
            return stats.ready == 1

        await eventually(back_in_its_queue, within=20)


async def test_a_queue_that_is_deleted_under_a_running_worker_is_declared_again_and_the_log_says_so(
    rabbitmq: Broker, vhost: str, amqp_url: str, ledger: Ledger, caplog: pytest.LogCaptureFixture
):
    async with bus_to(amqp_url) as bus, bus.running(auditing(ledger)):
        publishing = Publishing(bus, ledger)
        assert await publishing.publish(new_event_id())
        await all_handled(ledger)
        await asyncio.to_thread(rabbitmq.api, "DELETE", f"queues/{vhost}/{SEEN}")
        await eventually(lambda: caplog_has(caplog, "NOT_FOUND"), within=10)
        await eventually(lambda: is_consumed(bus), within=10)  # so it is declared, and bound
        assert await publishing.publish(new_event_id())
        await all_handled(ledger)

    assert lines(caplog, "consumption.lost")


async def is_consumed(bus: Bus) -> bool:
    (queue,) = await bus.transport.stats([SEEN])
    return queue.consumers > 0


def caplog_has(caplog: pytest.LogCaptureFixture, text: str) -> bool:
    return any(text in line for line in caplog.messages)


async def test_a_queue_with_other_arguments_is_reported_once_and_the_other_subscriptions_run(
    amqp_url: str, ledger: Ledger, caplog: pytest.LogCaptureFixture
):
    drifted = "audit.drifted"
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        connection.channel().queue_declare(drifted, durable=True, arguments={"x-queue-type": "quorum"})

    @subscribe(TYPE, name="drifted")
    async def never(event: dict[str, Any], context: Context) -> None:
        ledger.handled[drifted][context.envelope.event_id] += 1

    both = Service("audit", [never, *(member.subscription for member in auditing(ledger))])
    async with bus_to(amqp_url) as bus, bus.running(both) as worker:
        assert not worker.is_ready
        publishing = Publishing(bus, ledger)
        assert await publishing.publish(new_event_id())
        await all_handled(ledger)
        await asyncio.sleep(2)  # tries again meanwhile
        (line,) = lines(caplog, "subscription.failed")
        assert drifted in line
        assert "PRECONDITION_FAILED" in line

        await asyncio.to_thread(delete, amqp_url, drifted)
        await eventually(lambda: worker.is_ready, within=10)
        event_id = new_event_id()
        assert await publishing.publish(event_id)
        await eventually(lambda: ledger.handled[drifted][event_id] == 1)


def delete(url: str, queue: str) -> None:
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        connection.channel().queue_delete(queue)


async def test_a_consumer_that_the_broker_cancels_consumes_again_under_another_tag(
    rabbitmq: Broker, vhost: str, amqp_url: str, ledger: Ledger
):
    async with bus_to(amqp_url) as bus, bus.running(auditing(ledger)):
        publishing = Publishing(bus, ledger)
        tags: set[str] = set()
        for deletions in range(3):
            tags |= await eventually(lambda: asyncio.to_thread(tags_of, rabbitmq, vhost))
            await asyncio.to_thread(rabbitmq.api, "DELETE", f"queues/{vhost}/{SEEN}")
            await eventually(partial(asyncio.to_thread, has_others, rabbitmq, vhost, tags), within=10)
            assert await publishing.publish(new_event_id())
            await all_handled(ledger)
            assert len(tags) == deletions + 1

    assert ledger.duplicates(SEEN) == 0


def tags_of(broker: Broker, vhost: str) -> set[str]:
    """Of the queue's consumers; those of a queue that was deleted stay in the list for a while."""
    consumers = broker.api("GET", f"consumers/{vhost}")
    return {each["consumer_tag"] for each in consumers if each["queue"]["name"] == SEEN}


def has_others(broker: Broker, vhost: str, tags: set[str]) -> bool:
    return bool(tags_of(broker, vhost) - tags)


async def test_a_handler_that_hangs_is_cancelled_at_its_timeout_and_tried_again(
    amqp_url: str, ledger: Ledger
):
    cancelled: list[int] = []

    async def hang_at_first(context: Context) -> None:
        if context.attempt == 1:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(context.attempt)
                raise

    async with bus_to(amqp_url) as bus, bus.running(auditing(ledger, hang_at_first, timeout=0.5)):
        publishing = Publishing(bus, ledger)
        for _ in range(10):
            assert await publishing.publish(new_event_id())
        await all_handled(ledger)

    assert cancelled == [1] * 10
    assert ledger.duplicates(SEEN) == 0
