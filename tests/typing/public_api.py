"""The public API as a type checker sees it: read by mypy and pyright, never run.

Every `type: ignore` is an error that a user is to be told of: both checkers complain where it is not needed.
"""
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, assert_type

from eventbus import (
    Batch,
    Bus,
    Context,
    Depends,
    Envelope,
    Event,
    EventBusError,
    Receipt,
    Reject,
    RetryLater,
    RetryPolicy,
    Service,
    Subscription,
    Transaction,
    subscribe,
    upcast,
)
from eventbus.sourcing import (
    Aggregate,
    EventStore,
    Projecting,
    Projection,
    Recorded,
    Repository,
    VersionConflict,
    applies,
    projecting,
    projects,
    rebuild,
)
from eventbus.testing import TestBus


class OrderCreatedV1(Event, type="order.created", version="1.0"):
    total: Decimal


class OrderCreated(Event, type="order.created", version="2.0"):
    order_id: int
    total: Decimal


class OrderPaid(Event, type="order.paid"):
    order_id: int


class Gateway:
    async def charge(self, total: Decimal, *, idempotency_key: str) -> str:
        return f"{total} {idempotency_key}"


async def open_gateway() -> AsyncIterator[Gateway]:
    yield Gateway()


# --- a handler keeps its types: it is called in a unit test as it was written


@subscribe(
    OrderCreated, retry=RetryPolicy(max_attempts=5, give_up_on=(KeyError,)), timeout=30, concurrency=20
)
async def charge(
    event: OrderCreated, context: Context, gateway: Annotated[Gateway, Depends(open_gateway)]
) -> OrderPaid | None:
    assert_type(event.total, Decimal)
    assert_type(context.envelope, Envelope[Any])
    assert_type(context.idempotency_key, str)
    assert_type(context.attempt, int)
    assert_type(context.replay, str | None)
    assert_type(await context.publish("order.audited", {"n": 1}, delay=5), Envelope[Any])
    await gateway.charge(event.total, idempotency_key=context.idempotency_key)
    return OrderPaid(order_id=event.order_id)


@subscribe("order.created")
def notify(event: dict[str, Any]) -> None:
    raise RetryLater(after=120) if event["order_id"] else Reject("no")


@subscribe("order.*", name="audit", on_replay="skip")
async def audit(event: Envelope[Event]) -> list[Event]:
    assert_type(event.data, Event)
    assert_type(event.timestamp, datetime)
    return [event.data]


@subscribe(OrderPaid, batch=Batch(size=100, within=1.0))
async def send_batch(events: list[OrderPaid]) -> None:
    assert_type(events[0].order_id, int)


async def unit_test(event: OrderCreated, context: Context) -> None:
    assert_type(await charge(event, context, Gateway()), OrderPaid | None)
    assert_type(await charge(event, context=context, gateway=Gateway()), OrderPaid | None)
    assert_type(notify({"order_id": 1}), None)
    assert_type(await audit(Envelope.wrap(event, event_id="evt_1", timestamp=datetime.now())), list[Event])  # noqa: DTZ005
    as_annotated: Subscription[[dict[str, Any]], None] = notify
    as_written: Callable[[dict[str, Any]], None] = as_annotated.function
    as_written({"order_id": 1})
    assert_type(notify.patterns, tuple[str, ...])

    await charge(event)  # type: ignore[call-arg]
    await charge("order", context, Gateway())  # type: ignore[arg-type]
    notify(event)  # type: ignore[arg-type]
    await send_batch(OrderPaid(order_id=1))  # type: ignore[arg-type]
    notify.timeout = 5  # type: ignore[misc]


subscribe(7)  # type: ignore[arg-type]
subscribe(Gateway)  # type: ignore[arg-type]
subscribe(OrderCreated, timeout="30")  # type: ignore[arg-type]
subscribe(OrderCreated, on_replay="never")  # type: ignore[arg-type]
subscribe(OrderCreated, priority=1)  # type: ignore[call-arg]

payment = Service("payment", [charge, notify, audit, send_batch])
Service("payment", [unit_test])  # type: ignore[list-item]


# --- policies


def by_status(error: Exception) -> float | None:
    return 120 if str(error) == "429" else None


RetryPolicy(retry_on=(TimeoutError, ConnectionError), delay_for=by_status)
RetryPolicy(retry_on=TimeoutError())  # type: ignore[arg-type]
RetryPolicy(5)  # type: ignore[call-arg]


# --- events and their versions


@upcast
def orders_had_no_id(old: OrderCreatedV1) -> OrderCreated:
    return OrderCreated(order_id=0, total=old.total)


assert_type(orders_had_no_id(OrderCreatedV1(total=Decimal(1))), OrderCreated)

OrderCreated(order_id="many", total=Decimal(1))  # type: ignore[arg-type]
OrderCreated(total=Decimal(1))  # type: ignore[call-arg]


@upcast  # type: ignore[type-var]
def not_of_events(old: dict[str, Any]) -> OrderCreated:
    return OrderCreated(**old)


def envelopes(event: OrderCreated, received: Envelope[OrderCreated], now: datetime) -> None:
    wrapped = Envelope.wrap(event, event_id="evt_1", timestamp=now)
    assert_type(wrapped, Envelope[OrderCreated])
    assert_type(wrapped.data.order_id, int)
    assert_type(wrapped.caused_by(received), Envelope[OrderCreated])
    assert_type(received.key, str | None)
    received.key = "order-1"  # type: ignore[misc]


# --- the bus


async def publish(event: OrderCreated, reminder: Envelope[OrderPaid]) -> None:
    async with Bus("amqp://guest:guest@localhost/", source="order") as bus:
        assert_type(bus, Bus)
        receipt = await bus.publish(event)
        assert_type(receipt, Receipt)
        assert_type(receipt.event_id, str)
        assert_type(receipt.state, Literal["confirmed", "scheduled", "spooled", "degraded"])
        await bus.publish("order.created", {"order_id": 1}, version="2.0", key="order-1")
        await bus.publish(reminder, delay=timedelta(hours=24), headers={"tenant": "t"})
        assert_type(await bus.publish_many([event, reminder], timeout=2), list[Receipt])
        await bus.publish_many(iter([event]))
        await bus.serve(payment)
        async with bus.running(payment) as worker:
            assert_type(worker.is_ready, bool)

        await bus.publish(7)  # type: ignore[arg-type]
        await bus.publish(event, dealy=5)  # type: ignore[call-arg]
        await bus.publish(event, delay="soon")  # type: ignore[arg-type]
        await bus.publish(event, at=24)  # type: ignore[arg-type]
        await bus.publish_many(event)  # type: ignore[arg-type]

    Bus("amqp://localhost/")  # type: ignore[call-arg]


async def a_test() -> None:
    async with TestBus(payment) as bus:
        assert_type(await bus.publish(OrderPaid(order_id=1)), Receipt)
        await bus.advance(timedelta(hours=2))
        assert_type(bus.published(OrderPaid), list[OrderPaid])
        assert_type(bus.dead_letters[0].reason, str)
        bus.published("order.paid")  # type: ignore[arg-type]


def catches() -> None:
    try:
        raise Reject("no")
    except EventBusError as error:
        assert_type(error, EventBusError)


# --- event sourcing


class Account(Aggregate, stream="account"):
    total: Decimal = Decimal(0)

    @applies
    def on_created(self, event: OrderCreated) -> None:
        self.total += event.total

    @applies  # type: ignore[type-var]
    def on_text(self, event: str) -> None: ...

    @applies  # type: ignore[arg-type]
    def on_answer(self, event: OrderPaid) -> int:
        return event.order_id


class Totals(Projection, name="totals"):
    @projects
    async def on_created(self, recorded: Recorded[OrderCreated], transaction: Transaction) -> None:
        assert_type(recorded.event.total, Decimal)
        assert_type(recorded.version, int)
        assert_type(recorded.position, int | None)
        assert_type(recorded.envelope, Envelope[OrderCreated])
        await transaction.execute("…", str(recorded.event.total))

    @projects  # type: ignore[arg-type]
    async def on_event(self, event: OrderPaid, transaction: Transaction) -> None: ...


async def sourced(bus: Bus, event: OrderCreated, received: Envelope[OrderPaid]) -> None:
    events = EventStore(bus, [OrderCreated, OrderPaid])
    assert_type(await events.append("account-1", [event, received], 0), int)
    await events.append("account-1", event, None, cause=received, transaction=object())
    assert_type(await events.version("account-1"), int)
    async for recorded in events.read("account-1", from_version=2):
        assert_type(recorded, Recorded[Event])
    async for recorded in events.read_all(after=7):
        assert_type(recorded.event, Event)

    accounts = Repository(events, Account, snapshot_every=100)
    assert_type(await accounts.load("1"), Account)
    assert_type(await accounts.find("1"), Account | None)
    assert_type(
        await accounts.act("1", lambda account: account.on_created(event), attempts=5, create=True), Account
    )
    assert_type(await accounts.save(Account(id="1")), int)
    async with projecting(events, Totals()) as running:
        assert_type(running[0], Projecting)
    assert_type(await rebuild(events, Totals()), int)

    try:
        await events.append("account-1", event, 3)
    except VersionConflict as conflict:
        assert_type((conflict.stream, conflict.expected, conflict.actual), tuple[str, int, int])

    await events.append("account-1", event)  # type: ignore[call-arg]
    await events.append("account-1", "deposit", 0)  # type: ignore[arg-type]
    await events.append("account-1", event, "1")  # type: ignore[arg-type]
    Repository(events, OrderCreated)  # type: ignore[type-var]
    await accounts.save(Totals())  # type: ignore[arg-type]
    Account()  # type: ignore[call-arg]
