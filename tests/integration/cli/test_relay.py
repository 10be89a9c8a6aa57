"""`eventbus relay` as an operator has it: what waits in an outbox reaches the broker."""

from __future__ import annotations

import asyncio
import json
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from eventbus.codec import Codec
from eventbus.stores.opening import store_for
from eventbus.stores.options import StoreOptions
from eventbus.testing.clock import VirtualClock
from eventbus.transport import Message
from tests.integration.cli.conftest import Cli, Running
from tests.support.eventually import eventually_sync
from tests.support.handling import by_name


def outbox_in(directory: Path) -> str:
    return f"sqlite:///{directory}/eventbus.db"


def order(number: int) -> Message:
    return Codec().encode(by_name("order.created", {"order_id": number, "total": "3.00"}))


def put(store_url: str, *messages: Message, of: str = "", at: datetime | None = None) -> None:
    """`of`: the bus that puts it there."""
    clock = None if at is None else VirtualClock(at)

    async def put() -> None:
        store = store_for(store_url, StoreOptions(bus=of), clock=clock)
        await store.open()
        assert store.outbox is not None
        await store.outbox.put(messages, ["order"] * len(messages))
        await store.close()

    asyncio.run(put())


def seen(tail: Running) -> list[int]:
    """The orders that have passed, in their order."""
    return [
        json.loads(line)["data"]["order_id"]
        for line in tail.out.splitlines(keepends=True)
        if line[-1] == "\n"
    ]


def listening(cli: Cli) -> Running:
    tail = cli.start("tail", "order.*", "--output", "json")
    tail.says("listening…")
    return tail


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_sends_what_waits_and_what_comes_until_it_is_asked_to_stop(
    everywhere: Cli, number: signal.Signals
):
    store = outbox_in(everywhere.directory)
    tail = listening(everywhere)
    put(store, order(1), order(2))
    relay = everywhere.start("relay", "--store", store)
    relay.says("relay.ready")
    put(store, order(3))
    eventually_sync(lambda: seen(tail) == [1, 2, 3], within=20)

    done = relay.told(number)

    assert (done.code, done.out) == (0, "")


def test_once_sends_what_waits_and_says_how_much(cli: Cli):
    put(outbox_in(cli.directory), order(1), order(2))

    done = cli("relay", "--once")
    again = cli("relay", "--once", "--output", "json")

    assert (done.code, done.out) == (0, "sent 2, left 0\n")
    assert (again.code, json.loads(again.out)) == (0, {"sent": 0, "left": 0, "of_others": {}})


def test_what_is_of_another_bus_is_left_and_told_with_the_command_that_sends_it(cli: Cli):
    store = f"sqlite:///{cli.directory}/shop.db"
    put(store, order(1), order(2), of="amqp:billing:gone")

    done = cli("relay", "--once", "--store", store)
    told = json.loads(cli("relay", "--once", "--store", store, "--output", "json").out)
    status = json.loads(cli("status", "--store", store, "--output", "json").out)

    assert (done.code, done.out) == (0, "sent 0, left 0\n")
    assert f"2 events of another bus, amqp:billing:gone, left in {store}: " in done.err
    assert "EVENTBUS_NAMESPACE=billing eventbus relay --once --url amqp://USER:PASSWORD@HOST/gone" in done.err
    assert told == {"sent": 0, "left": 0, "of_others": {"amqp:billing:gone": 2}}
    assert status["outbox"]["events"] == 0


def test_what_another_bus_has_left_in_the_outbox_and_the_spool_the_doctor_finds(cli: Cli):
    store, spool = f"sqlite:///{cli.directory}/shop.db", f"sqlite:///{cli.directory}/eventbus-spool.db"
    for place, bus in ((store, "amqp:billing:shop"), (spool, "amqp:events:bank")):
        put(place, order(1), of=bus, at=datetime.now(UTC) - timedelta(hours=1))

    done = cli("doctor", "--store", store, "--output", "json")

    findings = json.loads(done.out)["findings"]
    left = [each["what"] for each in findings if "another bus" in each["what"]]
    assert done.code == 0
    assert len(left) == 2
    assert left[0].startswith(f"1 event of another bus, amqp:billing:shop, left in {store}: ")
    assert left[1].startswith(f"1 event of another bus, amqp:events:bank, left in {spool}: ")


def test_what_a_bus_has_left_that_is_gone_is_sent_through_another_one(everywhere: Cli):
    store = f"sqlite:///{everywhere.directory}/shop.db"
    put(store, order(1), order(2), of="amqp:billing:gone")
    tail = listening(everywhere)

    done = everywhere("relay", "--once", "--store", store, "--of", "amqp:billing:gone")

    assert (done.code, done.out) == (0, "sent 2, left 0\n")
    eventually_sync(lambda: seen(tail) == [1, 2], within=20)


def test_without_a_broker_nothing_is_lost(cli: Cli):
    put(outbox_in(cli.directory), order(1))

    away = cli("relay", "--once", EVENTBUS_URL="amqp://guest:guest@127.0.0.1:1/")

    assert (away.code, away.out) == (4, "")
    assert "cannot reach the broker" in away.err
    assert cli("relay", "--once").out == "sent 1, left 0\n"


def test_what_the_broker_refuses_is_left_and_told(cli: Cli):
    put(outbox_in(cli.directory), Message(b"{}", "order.created", event_id="stray", queue="nobody.there"))

    done = cli("relay", "--once")

    assert (done.code, done.out) == (3, "sent 0, left 1\n")
    assert "relay.refused" in done.err
    assert "stray" in done.err


def test_a_store_without_an_outbox_is_a_wrong_use(cli: Cli):
    done = cli("relay", "--once", "--store", "memory://")
    assert (done.code, done.out) == (2, "")
    assert "an inbox only" in done.err


def test_when_one_of_two_relays_is_killed_the_other_sends_the_rest(cli: Cli):
    store = outbox_in(cli.directory)
    tail = listening(cli)
    relays = [cli.start("relay", "--store", store) for _ in range(2)]
    for relay in relays:
        relay.says("relay.ready")

    for number in range(40):
        put(store, order(number))
        if number == 20:
            assert relays[0].told(signal.SIGKILL).code == -signal.SIGKILL

    eventually_sync(lambda: sorted(set(seen(tail))) == list(range(40)), within=40)
    assert in_order(seen(tail))


def in_order(numbers: list[int]) -> bool:
    """But for copies of what was in hand when its relay was killed."""
    first = list(dict.fromkeys(numbers))
    return first == sorted(first)


def test_status_tells_what_waits_and_looking_changes_nothing(cli: Cli):
    before = json.loads(cli("status", "--output", "json").out)
    put(outbox_in(cli.directory), order(1), order(2))
    put(f"sqlite:///{cli.directory}/eventbus-spool.db", order(3))

    shown = cli("status").out.splitlines()
    told = json.loads(cli("status", "--output", "json").out)
    away = cli("status", "--url", "amqp://guest:guest@127.0.0.1:1/")

    assert (before["outbox"], before["spool"]) == (None, None)
    assert shown[-2].startswith("outbox: 2 events wait for the broker (")
    assert shown[-1].startswith("spool: 1 event waits for the broker (")
    assert told["outbox"]["events"] == 2
    assert (told["spool"]["events"], told["spool"]["oldest_age"] < 60) == (1, True)
    assert (away.code, away.out) == (4, "")
    assert "spool: 1 event waits" in away.err


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_the_status_tells_what_waits_in_the_store_that_is_named(
    cli: Cli, kind: str, request: pytest.FixtureRequest
):
    store = outbox_in(cli.directory) if kind == "sqlite" else str(request.getfixturevalue("postgres_url"))
    put(store, order(1), order(2))

    done = cli("status", "--store", store, "--output", "json")

    assert done.code == 0, done
    assert json.loads(done.out)["outbox"]["events"] == 2
