"""Many events of several calls at a time, spread over two connections."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Final

from eventbus.rabbitmq.frames import Parcel
from eventbus.rabbitmq.publisher import ConfirmedPublisher

MANY: Final = 100
"""Events of one call. For fewer it does not matter; calls with one event each stay in their order, too."""


class Spread:
    """Sends over one connection, and while that has much to do, over a second: the broker reads and confirms
    each in a process of its own, on whichever core is free.

    A call is sent over one of them as a whole, and so its order is kept. Nobody waits for the second: it is
    connected when it would have helped for the first time, and helps while it is up.
    """

    def __init__(self, first: ConfirmedPublisher, second: ConfirmedPublisher) -> None:
        self._first = first
        self._second = second

    def send(
        self, parcels: Sequence[Parcel], *, timeout: float, patience: float | None = None
    ) -> Awaitable[None]:
        """As `ConfirmedPublisher.send`."""
        return self._for(len(parcels)).send(parcels, timeout=timeout, patience=patience)

    def _for(self, count: int) -> ConfirmedPublisher:
        first, second = self._first, self._second
        if count < MANY or first.underway < MANY:
            return first
        second.connect_soon()
        return second if second.is_connected and second.underway < first.underway else first
