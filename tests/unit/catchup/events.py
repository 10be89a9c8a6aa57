"""The events that these tests publish, and who wants them all."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import cycle

from eventbus import Envelope, Event, Service, subscribe
from eventbus.ids import new_event_id


class Booked(Event, type="account.booked"):
    number: int


@subscribe(Booked, start="beginning")
async def total(event: Booked) -> None: ...


SERVICE = Service("analytics", [total])
(MEMBER,) = SERVICE


def bookings(count: int, *keys: str | None) -> list[Envelope[Booked]]:
    """With these keys, again and again."""
    following = cycle(keys or (None,))
    return [
        Envelope.wrap(
            Booked(number=n), event_id=new_event_id(), timestamp=datetime.now(UTC), key=next(following)
        )
        for n in range(count)
    ]
