from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from eventbus import (
    Context,
    Envelope,
    Event,
    Reject,
    RetryLater,
    RetryPolicy,
    Service,
    subscribe,
    upcast,
)
from eventbus.errors import EventBusError, InvalidEvent
from eventbus.testing import TestBus
from eventbus.testing import bus as bus_module
from eventbus.worker import Worker
from tests.support.handling import NOON, by_name


class OrderCreated(Event, type="order.created"):
    order_id: int = 1


class OrderPaid(Event, type="order.paid"):
    order_id: int = 1


class EmailSent(Event, type="email.sent"):
    order_id: int = 1


@subscribe(OrderCreated)
async def charge(event: OrderCreated) -> OrderPaid:
    return OrderPaid(order_id=event.order_id)


@subscribe(OrderPaid)
def confirm(event: OrderPaid) -> EmailSent:
    return EmailSent(order_id=event.order_id)


PAYMENT, EMAIL = Service("payment", [charge]), Service("email", [confirm])


class Failing:
    """A handler that fails a number of times, and remembers when it ran."""

    def __init__(self, bus: list[TestBus], times: int, error: Exception | None = None) -> None:
        self.ran: list[tuple[int, datetime]] = []
        self._bus = bus
        self._times = times
        self._error = error or ValueError("no")

    async def handle(self, event: OrderCreated, context: Context) -> OrderPaid:
        self.ran.append((context.attempt, self._bus[0].clock.now()))
        if len(self.ran) <= self._times:
            raise self._error
        return OrderPaid()

    def service(self, retry: RetryPolicy | None = None) -> Service:
        return Service("payment", [subscribe(OrderCreated, name="charge", retry=retry)(self.handle)])

    @property
    def seconds(self) -> list[float]:
        return [(at - self.ran[0][1]).total_seconds() for _, at in self.ran]


async def test_publish_returns_when_all_that_it_caused_is_handled():
    async with TestBus(PAYMENT, EMAIL) as bus:
        receipt = await bus.publish(OrderCreated(order_id=7))
        assert receipt.state == "confirmed"
        assert bus.published(OrderPaid) == [OrderPaid(order_id=7)]
        assert bus.published(EmailSent) == [EmailSent(order_id=7)]


async def test_what_was_caused_names_its_cause_and_its_flow():
    async with TestBus(PAYMENT, EMAIL) as bus:
        receipt = await bus.publish(OrderCreated())
        order, paid, sent = bus.envelopes()
        assert (order.event_id, paid.causation_id, sent.causation_id) == (
            receipt.event_id,
            order.event_id,
            paid.event_id,
        )
        assert {paid.correlation_id, sent.correlation_id} == {order.event_id}
        assert [each.event_type for each in bus.envelopes("order.paid")] == ["order.paid"]


async def test_many_events_are_handled_before_publish_many_returns():
    async with TestBus(PAYMENT) as bus:
        await bus.publish_many(OrderCreated(order_id=number) for number in range(100))
        assert sorted(each.order_id for each in bus.published(OrderPaid)) == list(range(100))


async def test_it_runs_no_service_and_still_remembers_what_was_published():
    async with TestBus() as bus:
        await bus.publish("order.created", {"order_id": 3})
        assert bus.published(OrderCreated) == [OrderCreated(order_id=3)]
        assert bus.published(OrderPaid) == []


async def test_what_may_not_be_published_is_refused():
    async with TestBus(PAYMENT) as bus:
        with pytest.raises(InvalidEvent):
            await bus.publish("order.created", {"order_id": "many"})


async def test_retries_happen_at_their_times_to_the_second_in_spite_of_jitter():
    buses: list[TestBus] = []
    failing = Failing(buses, times=3)
    async with TestBus(failing.service()) as bus:
        buses.append(bus)
        await bus.publish(OrderCreated())
        assert failing.seconds == [0]
        await bus.advance(1)
        assert failing.seconds == [0]
        await bus.advance(1)
        assert failing.seconds == [0, 2]
        await bus.advance(timedelta(minutes=1))
        assert failing.seconds == [0, 2, 6, 14]
        assert [attempt for attempt, _ in failing.ran] == [1, 2, 3, 4]
        assert bus.published(OrderPaid) == [OrderPaid()]
        assert bus.dead_letters == ()


async def test_after_the_last_attempt_the_event_is_a_dead_letter():
    buses: list[TestBus] = []
    failing = Failing(buses, times=99)
    async with TestBus(failing.service(RetryPolicy(max_attempts=3))) as bus:
        buses.append(bus)
        receipt = await bus.publish(OrderCreated())
        await bus.advance(timedelta(hours=1))
        (dead,) = bus.dead_letters
        assert (dead.reason, dead.attempts, dead.error) == ("exhausted", 3, "ValueError: no")
        assert (dead.message.event_id, dead.message.routing_key) == (receipt.event_id, "order.created")
        assert dead.died_at == failing.ran[-1][1]
        assert dead.first_failed_at == failing.ran[0][1]


async def test_a_rejected_event_is_a_dead_letter_at_once():
    buses: list[TestBus] = []
    failing = Failing(buses, 1, Reject("no such card"))
    async with TestBus(failing.service()) as bus:
        buses.append(bus)
        await bus.publish(OrderCreated())
        assert [(dead.reason, dead.attempts) for dead in bus.dead_letters] == [("rejected", 1)]


async def test_a_handler_that_asks_to_be_tried_later_is_tried_then():
    buses: list[TestBus] = []
    failing = Failing(buses, 1, RetryLater(after=120))
    async with TestBus(failing.service()) as bus:
        buses.append(bus)
        await bus.publish(OrderCreated())
        await bus.advance(119)
        assert failing.seconds == [0]
        await bus.advance(1)
        assert failing.seconds == [0, 120]


async def test_delayed_events_become_due_as_time_passes_each_at_its_time():
    seen: list[tuple[int, datetime]] = []

    @subscribe(OrderCreated)
    async def remind(event: OrderCreated) -> None:
        seen.append((event.order_id, bus.clock.now()))

    async with TestBus(Service("shop", [remind])) as bus:
        began = bus.clock.now()
        assert (await bus.publish(OrderCreated(order_id=1), delay=timedelta(hours=24))).state == "scheduled"
        await bus.publish(OrderCreated(order_id=2), at=began + timedelta(hours=2))
        assert (seen, bus.published(OrderCreated)) == ([], [])
        await bus.advance(timedelta(days=2))
        assert seen == [(2, began + timedelta(hours=2)), (1, began + timedelta(hours=24))]
        assert [each.order_id for each in bus.published(OrderCreated)] == [2, 1]


async def test_what_a_delayed_event_causes_happens_within_the_same_advance():
    async with TestBus(PAYMENT, EMAIL) as bus:
        await bus.publish(OrderCreated(), delay=5)
        await bus.advance(5)
        assert bus.published(EmailSent) == [EmailSent()]


async def test_a_handler_that_sleeps_on_the_clock_wakes_as_time_passes():
    woken: list[datetime] = []

    @subscribe(OrderCreated)
    async def naps(event: OrderCreated) -> None:
        woken.append(bus.clock.now())

    async with TestBus(Service("shop", [naps])) as bus:
        sleeper = asyncio.create_task(bus.clock.sleep(60))
        await bus.publish(OrderCreated())
        await bus.advance(59)
        assert not sleeper.done()
        await bus.advance(1)
        await sleeper


async def test_one_failing_subscription_does_not_disturb_another():
    buses: list[TestBus] = []
    failing = Failing(buses, times=99)
    other = Service("other", [charge])
    async with TestBus(failing.service(), other) as bus:
        buses.append(bus)
        await bus.publish(OrderCreated(order_id=7))
        assert bus.published(OrderPaid) == [OrderPaid(order_id=7)]


async def test_older_versions_are_read_as_the_class_that_is_asked_for():
    class BookedV1(Event, type="room.booked", version="1.0"):
        price: Decimal

    class Booked(Event, type="room.booked", version="2.0"):
        cents: int

    def in_cents(old: BookedV1) -> Booked:
        return Booked(cents=int(old.price * 100))

    in_cents.__annotations__ = {"old": BookedV1, "return": Booked}
    upcast(in_cents)
    async with TestBus() as bus:
        await bus.publish(BookedV1(price=Decimal("1.50")))
        await bus.publish(Booked(cents=7))
        assert bus.published(Booked) == [Booked(cents=150), Booked(cents=7)]


async def test_an_envelope_keeps_what_it_says():
    seen: list[Envelope[OrderCreated]] = []

    @subscribe(OrderCreated)
    async def audit(event: Envelope[OrderCreated]) -> None:
        seen.append(event)

    async with TestBus(Service("shop", [audit])) as bus:
        await bus.publish(by_name("order.created", {}, source="elsewhere", event_id="evt_1"))
        assert [(each.source, each.event_id, each.timestamp) for each in seen] == [
            ("elsewhere", "evt_1", NOON)
        ]


async def test_handlers_that_do_not_come_to_rest_are_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bus_module, "PATIENCE", 0.05)

    @subscribe(OrderCreated)
    async def hangs(event: OrderCreated) -> None:
        await may_end.wait()

    may_end = asyncio.Event()
    async with TestBus(Service("shop", [hangs])) as bus:
        with pytest.raises(TimeoutError, match=r"handlers did not come to rest within 0.05 s"):
            await bus.publish(OrderCreated())
        may_end.set()


async def test_a_test_that_is_cancelled_while_handlers_finish_closes_the_bus_all_the_same():
    begun, ended = asyncio.Event(), list[str]()

    @subscribe(OrderCreated)
    async def hangs(event: OrderCreated) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def use() -> None:
        async with bus:
            await bus.bus.publish(OrderCreated())
            await begun.wait()
            draining.set()

    bus, draining = TestBus(Service("shop", [hangs])), asyncio.Event()
    using = asyncio.create_task(use())
    await draining.wait()
    using.cancel()
    with pytest.raises(asyncio.CancelledError):
        await using
    assert ended == ["cancelled"]
    with pytest.raises(EventBusError, match="the bus is not open"):
        await bus.bus.publish(OrderCreated())


async def test_services_that_do_not_come_as_far_as_the_present_do_not_run_on(monkeypatch: pytest.MonkeyPatch):
    async def never(_: Worker) -> None:
        raise TimeoutError

    monkeypatch.setattr(Worker, "caught_up", never)
    with pytest.raises(TimeoutError):
        async with TestBus(PAYMENT):
            pass
    assert "payment.charge" not in {task.get_name() for task in asyncio.all_tasks()}
