from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from eventbus import Bus, Event, Service, subscribe
from eventbus.embedded import EmbeddedTransport
from eventbus.errors import ConfigurationError, EventBusError, InvalidEvent, UnregisteredEvent
from eventbus.outbox import Relay
from eventbus.settings import Settings
from tests.support.eventually import eventually

MEMORY = "sqlite://:memory:"


class OrderCreated(Event, type="order.created"):
    order_id: int


class Recorder:
    """A service that remembers what it got, and may take its time."""

    def __init__(self) -> None:
        self.seen: list[OrderCreated] = []
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.running = self.ended = 0
        self.service = Service("shop", [subscribe(OrderCreated, name="record")(self.record)])

    async def gets_something_from(self, bus: Bus) -> bool:
        await bus.publish(OrderCreated(order_id=1))
        return bool(self.seen)

    async def record(self, event: OrderCreated) -> None:
        self.seen.append(event)
        self.running += 1
        try:
            await self.may_end.wait()
            self.ended += 1
        finally:
            self.running -= 1


def bus(**options: Any) -> Bus:
    return Bus(MEMORY, source="shop", settings=Settings(), **options)


def bus_in(place: Path) -> Bus:
    return Bus(f"sqlite:///{place / 'events.db'}", source="shop", settings=Settings())


# --- opening


async def test_a_bus_that_is_not_open_says_how_to_open_it():
    closed = bus()
    for attempt in (closed.publish(OrderCreated(order_id=1)), closed.publish_many([]), closed.start()):
        with pytest.raises(EventBusError, match=r"use it inside `async with Bus"):
            await attempt
    async with closed:
        pass
    with pytest.raises(EventBusError, match="not open"):
        await closed.publish(OrderCreated(order_id=1))


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://localhost/", "the URL begins with 'http'"),
        ("", "the URL begins with ''"),
        ("user:s3cr3t@localhost", "use amqp://user:password@host/vhost"),
        ("amqp://order:s3cr3t@", "names no host"),
        ("amqps://order:s3cr3t@localhost/?no_verify_ssl=1", "no_verify_ssl"),
    ],
)
def test_a_url_that_leads_nowhere_is_refused_without_showing_a_password(url: str, told: str):
    with pytest.raises(ConfigurationError) as caught:
        Bus(url, source="shop", settings=Settings())
    assert told in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_a_namespace_that_cannot_be_a_name_is_refused():
    with pytest.raises(ConfigurationError, match=r"^namespace='Shop!'"):
        bus(namespace="Shop!")


def test_what_is_said_in_the_program_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EVENTBUS_URL", "amqp://from-the-environment/")
    monkeypatch.setenv("EVENTBUS_NAMESPACE", "shop")
    assert Bus(source="shop").transport.url.startswith("amqp://")
    said = Bus(MEMORY, source="shop", namespace="other")
    assert (said.settings.url, said.settings.namespace) == (MEMORY, "other")


# --- schemas


@pytest.fixture
def schemas(monkeypatch: pytest.MonkeyPatch) -> str:
    module = ModuleType("schemas_of_a_test")
    vars(module)["OrderCreated"] = OrderCreated
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module.__name__


async def test_where_schemas_are_named_only_their_events_are_published_by_name(schemas: str):
    async with Bus(MEMORY, source="shop", settings=Settings(schemas=(schemas,))) as bus:
        await bus.publish("order.created", {"order_id": 1})
        with pytest.raises(UnregisteredEvent, match=r"did you mean 'order.created'"):
            await bus.publish("order.craeted", {"order_id": 1})
        with pytest.raises(InvalidEvent, match=r"^data.order_id"):
            await bus.publish("order.created", {"order_id": "many"})


async def test_schemas_that_cannot_be_imported_are_named_with_their_variable():
    with pytest.raises(ConfigurationError, match="EVENTBUS_SCHEMAS names 'no_such_module'"):
        async with Bus(MEMORY, source="shop", settings=Settings(schemas=("no_such_module",))):
            pass


# --- closing


@pytest.mark.parametrize("place", [(Relay, "stop"), (EmbeddedTransport, "close")])
async def test_a_cancelled_closing_closes_everything_and_the_bus_may_be_opened_again(
    place: tuple[type, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    closed, recorder, at_this_place = bus_in(tmp_path), Recorder(), asyncio.Event()
    close = getattr(*place)

    async def told(of: object) -> None:
        at_this_place.set()
        await close(of)

    async def use() -> None:
        async with closed, closed.running(recorder.service):
            await eventually(lambda: recorder.gets_something_from(closed))

    monkeypatch.setattr(*place, told)
    using = asyncio.create_task(use())
    await at_this_place.wait()
    using.cancel()
    with pytest.raises(asyncio.CancelledError):
        await using

    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("eventbus")]
    async with closed:
        await closed.publish(OrderCreated(order_id=2))


# --- running services


async def test_services_run_beside_other_work_and_are_drained_at_the_end():
    recorder = Recorder()
    recorder.may_end.clear()
    async with bus() as running_bus:
        async with running_bus.running(recorder.service) as worker:
            assert worker.is_ready
            await running_bus.publish(OrderCreated(order_id=1))
            await eventually(lambda: recorder.seen == [OrderCreated(order_id=1)])
            asyncio.get_running_loop().call_later(0.01, recorder.may_end.set)
        assert recorder.ended == 1


async def test_who_is_cancelled_while_handlers_finish_leaves_their_events_to_the_next(
    tmp_path: Path,
):
    recorder = Recorder()
    recorder.may_end.clear()

    async def run() -> None:
        async with bus_in(tmp_path) as running_bus, running_bus.running(recorder.service):
            await running_bus.publish(OrderCreated(order_id=1))
            await eventually(lambda: recorder.running == 1)
            about_to_drain.set()

    about_to_drain = asyncio.Event()
    running = asyncio.create_task(run())
    await about_to_drain.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, 5)
    assert recorder.running == 0

    recorder.may_end.set()
    async with bus_in(tmp_path) as next_bus, next_bus.running(recorder.service):
        await eventually(lambda: recorder.ended == 1)
    assert recorder.seen == [OrderCreated(order_id=1)] * 2


async def test_a_bus_knows_the_events_of_the_services_that_it_runs():
    async with bus() as running_bus, running_bus.running(Recorder().service):
        with pytest.raises(InvalidEvent, match=r"^data.order_id"):
            await running_bus.publish("order.created", {"order_id": "many"})


async def test_a_service_cannot_have_the_name_of_the_namespace():
    @subscribe(OrderCreated)
    async def log(event: OrderCreated) -> None: ...

    async with bus(namespace="shop") as running_bus:
        with pytest.raises(ConfigurationError, match="has the name of the namespace"):
            await running_bus.start(Service("shop", [log]))


async def test_two_services_cannot_take_from_one_queue():
    """Begun together, or one after the other."""
    one, other = Recorder().service, Recorder().service
    async with bus() as shop:
        with pytest.raises(ConfigurationError, match=r"^two services called 'shop' have .* 'record'"):
            await shop.start(one, other)
        async with shop.running(one), shop.running(one):
            with pytest.raises(ConfigurationError, match="take the other's events"):
                await shop.start(other)


async def test_a_service_whose_worker_was_stopped_may_be_made_anew_and_started():
    async with bus() as shop:
        for _ in range(2):
            worker = await shop.start(Recorder().service)
            await worker.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_serving_ends_at_a_signal_when_the_handlers_have_finished(number: int):
    recorder = Recorder()
    recorder.may_end.clear()
    async with bus() as running_bus:
        serving = asyncio.create_task(running_bus.serve(recorder.service))
        await eventually(lambda: recorder.gets_something_from(running_bus))
        os.kill(os.getpid(), number)
        await asyncio.sleep(0.01)
        assert not serving.done()
        recorder.may_end.set()
        await asyncio.wait_for(serving, 5)
    assert recorder.ended == len(recorder.seen)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


async def test_a_signal_while_the_services_start_ends_serving(monkeypatch: pytest.MonkeyPatch):
    async with bus() as running_bus:
        begun = asyncio.Event()

        async def never(*_: object) -> None:
            begun.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(running_bus.transport, "apply", never)
        serving = asyncio.create_task(running_bus.serve(Recorder().service))
        await begun.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(serving, 5)


async def test_serving_that_is_cancelled_drains_its_services():
    recorder = Recorder()
    async with bus() as running_bus:
        serving = asyncio.create_task(running_bus.serve(recorder.service))
        await running_bus.publish(OrderCreated(order_id=1))
        await eventually(lambda: any(task.get_name() == "shop.record" for task in asyncio.all_tasks()))
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        assert not any(task.get_name() == "shop.record" for task in asyncio.all_tasks())


async def test_serving_what_cannot_start_raises_its_error(monkeypatch: pytest.MonkeyPatch):
    async with bus() as running_bus:

        async def fails(*_: object) -> None:
            raise ConnectionError("refused")

        monkeypatch.setattr(running_bus.transport, "apply", fails)
        with pytest.raises(ConnectionError, match="refused"):
            await running_bus.serve(Recorder().service)
