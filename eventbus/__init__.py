"""eventbus: publish domain events on RabbitMQ, subscribe to them elsewhere, lose none.

The way of an event, and the file of each stop:

1. event — a past-tense fact: `event.py`
2. envelope — with its id, time, version and causes: `envelope.py`, `publisher.py`
3. message — bytes, routing key, headers, within limits: `codec.py`
4. exchange — the broker has it, confirmed: `Transport.send` in `rabbitmq/` or `embedded/`
5. queue — one durable queue for each subscription: `subscription.py`, `service.py`
6. delivery — one hand-over of one message: `Transport.consume`, `subscriber.py`
7. pipeline — decode, upcast, once, middleware, handler, outcome: `pipeline.py`, `once.py`, `retry.py`
8. settled — ack, or a confirmed copy to delay or dead letters: `Consumption.settle`
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eventbus.bus import Bus
    from eventbus.context import Context
    from eventbus.dependency import Depends, InTransaction
    from eventbus.envelope import Envelope
    from eventbus.errors import EventBusError, Reject, RetryLater
    from eventbus.event import Event, upcast
    from eventbus.opening import Opening
    from eventbus.publisher import Receipt
    from eventbus.retry import RetryPolicy
    from eventbus.secret import Secret
    from eventbus.service import Service
    from eventbus.store import Transaction
    from eventbus.subscription import Batch, Subscription, subscribe

__version__ = "0.1.0"

__all__ = [  # noqa: RUF022 -- grouped by what they are for
    # events
    "Event",
    "Secret",
    "Envelope",
    "upcast",
    # the bus
    "Bus",
    "Opening",
    "Receipt",
    # subscribing
    "subscribe",
    "Subscription",
    "Service",
    "Batch",
    "Context",
    "Depends",
    "Transaction",
    "InTransaction",
    # when it goes wrong
    "RetryPolicy",
    "RetryLater",
    "Reject",
    "EventBusError",
]

_HOMES = {
    "secret": ("Secret",),
    "event": ("Event", "upcast"),
    "envelope": ("Envelope",),
    "bus": ("Bus",),
    "opening": ("Opening",),
    "publisher": ("Receipt",),
    "subscription": ("subscribe", "Subscription", "Batch"),
    "service": ("Service",),
    "context": ("Context",),
    "dependency": ("Depends", "InTransaction"),
    "store": ("Transaction",),
    "retry": ("RetryPolicy",),
    "errors": ("RetryLater", "Reject", "EventBusError"),
}


def __getattr__(name: str) -> object:
    """Import a name's module when it is first asked for: a schema needs no bus, `--version` none of it."""
    for home, names in _HOMES.items():
        if name in names:
            value = globals()[name] = getattr(import_module(f"eventbus.{home}"), name)
            return value
    raise AttributeError(f"module 'eventbus' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
