"""The words that the tests of stores are written in."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from eventbus.store import Claim, InboxKey
from eventbus.transport import Message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventbus.logbook import Logbook
    from eventbus.store import Outbox, OutboxEntry, Store

_NUMBERS = count(1)

BOOKINGS = "CREATE TABLE booking (name TEXT)"


def a_key(event_id: str = "evt_1", subscription: str = "payment.charge", replay: str = "") -> InboxKey:
    return InboxKey(subscription, event_id, replay)


def some_keys(count: int) -> list[InboxKey]:
    return [a_key(f"evt_{number}") for number in range(count)]


def a_message(event_id: str | None = None) -> Message:
    event_id = event_id or f"evt_{next(_NUMBERS)}"
    return Message(b'{"order_id": 1}', "order.created", event_id=event_id, event_type="order.created")


def some_messages(count: int) -> list[Message]:
    return [a_message() for _ in range(count)]


def logbook_of(store: Store) -> Logbook:
    assert store.logbook is not None
    return store.logbook


async def claim(store: Store, *keys: InboxKey) -> list[Claim]:
    return list((await store.inbox.exchange(claim=keys)).claims)


async def put(outbox: Outbox, *messages: Message, key: str | None = None) -> list[str | None]:
    """Their ids."""
    await outbox.put(messages, [key] * len(messages))
    return [message.event_id for message in messages]


async def waiting(outbox: Outbox, limit: int = 1000) -> list[OutboxEntry]:
    """What a relay would get; it is not sent."""
    async with outbox.take(limit) as taken:
        return list(taken.entries)


async def drain(outbox: Outbox, limit: int = 1000) -> list[OutboxEntry]:
    """All that waits, sent."""
    sent: list[OutboxEntry] = []
    while True:
        async with outbox.take(limit) as taken:
            if not taken.entries:
                return sent
            await taken.sent(taken.entries)
            sent += taken.entries


def ids(entries: Sequence[OutboxEntry]) -> list[str | None]:
    return [entry.message.event_id for entry in entries]


async def bookings(store: Store) -> list[str]:
    async with store.transaction() as transaction:
        return [row["name"] for row in await transaction.fetch("SELECT name FROM booking ORDER BY name")]


async def make_bookings(store: Store) -> None:
    async with store.transaction() as transaction:
        await transaction.execute(BOOKINGS)


async def waiting_now(outbox: Outbox) -> int:
    """How many others see, without waiting for a transaction that writes."""
    return (await outbox.backlog()).events
