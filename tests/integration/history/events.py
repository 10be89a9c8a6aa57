"""The events that these tests publish."""

from __future__ import annotations

from datetime import UTC, datetime

from eventbus import Envelope, Event
from eventbus.ids import new_event_id


class Booked(Event, type="account.booked"):
    account: int
    number: int


class Closed(Event, type="account.closed"):
    account: int


def bookings(
    count: int, begin: int = 0, *, accounts: int = 10, at: datetime | None = None
) -> list[Envelope[Booked]]:
    """Numbered from `begin` on, each of an account that is its key."""
    return [
        Envelope.wrap(
            Booked(account=n % accounts, number=n),
            event_id=new_event_id(),
            timestamp=at or datetime.now(UTC),
            key=f"account-{n % accounts}",
        )
        for n in range(begin, begin + count)
    ]
