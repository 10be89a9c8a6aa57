"""A bus belongs to the event loop and the process that opened it; it is opened once at a time."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from eventbus import Bus, Service, subscribe
from eventbus.errors import EventBusError
from eventbus.settings import Settings

ROOT = Path(__file__).parents[2]
FORKING = """
import asyncio, os, sys
from eventbus import Bus
from eventbus.errors import EventBusError
from eventbus.settings import Settings


def in_a_child(attempt):
    if (child := os.fork()) == 0:
        try:
            attempt()
        except EventBusError as error:
            print(error, flush=True)
        os._exit(0)
    os.waitpid(child, 0)


async def in_the_middle(bus):
    coroutine = bus.publish("order.created", {})
    in_a_child(lambda: coroutine.send(None))
    coroutine.close()


bus = Bus(sys.argv[1], source="shop", settings=Settings())
with asyncio.Runner() as runner:
    runner.run(bus.__aenter__())
    in_a_child(lambda: asyncio.run(bus.publish("order.created", {})))
    in_a_child(lambda: runner.run(bus.publish("order.created", {})))
    in_a_child(lambda: asyncio.run(bus.__aenter__()))
    runner.run(in_the_middle(bus))
    runner.run(bus.publish("order.created", {}))
    print(len(runner.run(bus.transport.history(0))), flush=True)
    runner.run(bus.__aexit__(None, None, None))
"""


def a_bus(**options: Any) -> Bus:
    return Bus("sqlite://:memory:", source="shop", settings=Settings(), **options)


@subscribe("order.created")
async def note(event: dict[str, Any]) -> None: ...


@pytest.mark.parametrize(
    "attempt",
    [
        lambda bus: bus.publish("order.created", {}),
        lambda bus: bus.publish_many([]),
        lambda bus: bus.start(Service("shop", [note])),
        lambda bus: bus.history(),
        lambda bus: bus.replays(),
        lambda bus: bus.__aenter__(),
    ],
    ids=["publish", "publish_many", "start", "history", "replays", "open"],
)
async def test_another_event_loop_is_refused_and_told_the_way(attempt: Any):
    async with a_bus() as bus:
        coroutine: Coroutine[Any, Any, object] = attempt(bus)
        with pytest.raises(EventBusError, match=r"belongs to the event loop .*run_coroutine_threadsafe"):
            await asyncio.to_thread(asyncio.run, coroutine)
        assert await bus.transport.history(0) == []  # type: ignore[attr-defined]


async def test_another_thread_publishes_in_the_loop_of_the_bus():
    async with a_bus() as bus:
        loop = asyncio.get_running_loop()

        def publish() -> str:
            publishing = bus.publish("order.created", {})
            return asyncio.run_coroutine_threadsafe(publishing, loop).result(10).state

        assert await asyncio.to_thread(publish) == "confirmed"


async def test_neither_is_a_bus_that_opens_beside_other_work_one_of_another_loop(tmp_path: Path):
    """Although what is published meanwhile is kept here, and needs no broker."""
    settings = Settings(url="amqp://guest@127.0.0.1:1/", spool=str(tmp_path / "spool.db"))
    bus = Bus(source="shop", on_unavailable="spool", settings=settings)
    async with bus.opening():
        assert (await bus.publish("order.created", {})).state == "spooled"
        with pytest.raises(EventBusError, match="belongs to the event loop"):
            await asyncio.to_thread(asyncio.run, bus.publish("order.created", {}))


async def test_an_open_bus_is_not_opened_again_and_stays_open():
    async with a_bus() as bus:
        for block in (bus, bus.opening()):
            with pytest.raises(EventBusError, match="the bus is open already"):
                async with block:
                    pass
        assert (await bus.publish("order.created", {})).state == "confirmed"


def test_a_bus_that_was_closed_is_opened_in_another_loop():
    bus = a_bus()

    async def publish() -> str:
        async with bus:
            return (await bus.publish("order.created", {})).state

    assert [asyncio.run(publish()), asyncio.run(publish())] == ["confirmed", "confirmed"]


async def test_a_bus_that_could_not_be_opened_may_be_tried_again(tmp_path: Path):
    place = tmp_path / "later"
    bus = a_bus(store=f"sqlite:///{place}/store.db")
    for _ in range(2):
        with pytest.raises(EventBusError, match="does not exist"):
            await bus.__aenter__()
    place.mkdir()
    async with bus:
        assert (await bus.publish("order.created", {})).state == "confirmed"


@pytest.mark.skipif(sys.platform == "win32", reason="it knows no fork")
def test_a_forked_child_is_refused_also_in_the_loop_of_its_parent(tmp_path: Path):
    program = [sys.executable, "-W", "ignore", "-c", FORKING, f"sqlite:///{tmp_path}/events.db"]
    done = subprocess.run(program, check=True, capture_output=True, text=True, timeout=60, cwd=ROOT)

    *refused, published = done.stdout.splitlines()
    assert len(refused) == 4
    assert all("the bus was opened in another process" in told for told in refused)
    assert published == "1"


def test_a_thread_which_no_signal_comes_to_cannot_serve():
    async def serve() -> None:
        async with a_bus() as bus:
            with pytest.raises(EventBusError, match=r"main thread only: .* bus.running"):
                await bus.serve(Service("shop", [note]))

    asyncio.run(asyncio.wait_for(asyncio.to_thread(asyncio.run, serve()), 30))
