"""Event sourcing: the events are the truth, and state is what they come to.

class Account(Aggregate, stream="account"):
    balance: Decimal = Decimal(0)

    @applies
    def on_deposited(self, event: Deposited) -> None:
        self.balance += event.amount

accounts = Repository(EventStore(bus), Account)
account = await accounts.act("42", lambda account: account.deposit(Decimal(200)))
"""

from __future__ import annotations

from eventbus.sourcing.aggregate import Aggregate, applies
from eventbus.sourcing.errors import (
    InvalidStream,
    UnappliedEvent,
    UnknownStream,
    UnreadableEvent,
    VersionConflict,
)
from eventbus.sourcing.event_store import EventStore
from eventbus.sourcing.projecting import Projecting, projecting, rebuild
from eventbus.sourcing.projection import Projection, projects
from eventbus.sourcing.recorded import Recorded
from eventbus.sourcing.repository import Repository

__all__ = [  # noqa: RUF022 -- grouped by what they are for
    # streams
    "EventStore",
    "Recorded",
    # state
    "Aggregate",
    "applies",
    "Repository",
    # views
    "Projection",
    "projects",
    "Projecting",
    "projecting",
    "rebuild",
    # when it goes wrong
    "VersionConflict",
    "UnknownStream",
    "UnreadableEvent",
    "UnappliedEvent",
    "InvalidStream",
]
