"""What may be said when an event is published; one list for the bus, the context and the test bus."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TypedDict


class PublishOptions(TypedDict, total=False):
    """All of them optional."""

    delay: timedelta | float
    """How long to hold it back; a number is seconds. From 0 to 2²⁸-1 s, rounded up to whole seconds."""
    at: datetime
    """When to let it go; must have a time zone. In the past: at once."""
    event_id: str
    """Instead of a new one: 1 to 255 visible ASCII characters. The same id again is the same event."""
    key: str
    """What keeps its order together: an order id, say."""
    correlation_id: str
    causation_id: str
    version: str
    """For an event published by its type and a dict: which version the dict is. Default: the newest known."""
    headers: Mapping[str, object]
    """Beside the body: for routers and tracers, not for data. `x-*`, CC, BCC and `eventbus-*` are refused."""
    timeout: float
    """Seconds until `PublishTimeout`; 0 or less is refused."""
    transaction: object
    """The event leaves if and when this commits: a `Transaction`, or a connection or session of your own to
    the database of the bus's store (sqlite3, asyncpg, SQLAlchemy). The timeout does not matter then."""
