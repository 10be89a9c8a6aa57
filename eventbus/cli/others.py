"""What waits of other buses in the places where this one keeps its own: the outbox and the spool."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from eventbus.clock import Clock
from eventbus.diagnosis import OfAnotherBus
from eventbus.errors import EventBusError
from eventbus.settings import Settings
from eventbus.store import Backlog
from eventbus.stores.entries import NO_OUTBOX, Backlogs
from eventbus.stores.looking import backlogs_at
from eventbus.stores.opening import store_for
from eventbus.stores.spooling import spool_url
from eventbus.whose import bus_of, relay_command, spool_path, store_url


async def look_at_others(settings: Settings, clock: Clock) -> Sequence[OfAnotherBus]:
    """Changes nothing; of what cannot be looked into somebody else tells."""
    places = (store_url(settings), spool_url(spool_path(settings)))
    found = await asyncio.gather(*(_looked(settings, place, clock) for place in places))
    return [each for place, of in zip(places, found, strict=True) for each in of_others(of.of_others, place)]


def of_others(backlogs: Mapping[str, Backlog], place: str) -> Sequence[OfAnotherBus]:
    """`place`: the URL of a store."""
    return [
        OfAnotherBus(bus, backlog, store_for(place).url, relay_command(bus, kept_in=place))
        for bus, backlog in backlogs.items()
    ]


async def _looked(settings: Settings, place: str, clock: Clock) -> Backlogs:
    try:
        return await backlogs_at(place, bus_of(settings, kept_in=place), clock)
    except EventBusError:
        return NO_OUTBOX
