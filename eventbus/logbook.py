"""The port to how far long undertakings have come: replays, and subscriptions that catch up.

Each has a page, which survives the process that has it in hand. Every store that has transactions has a
logbook, and passes the one suite in `tests/conformance/store`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from eventbus.errors import EventBusError


@dataclass(frozen=True, slots=True)
class Page:
    """What is known of one undertaking."""

    kind: str
    """For example `replay`."""
    name: str
    text: str
    """JSON of whoever keeps it; nobody else looks inside."""
    wish: str
    """What somebody asks of the process that has it in hand; empty: nothing."""
    is_in_hand: bool
    """Of a process that lives, this one included."""


class Logbook(Protocol):
    """Pages are in the hand of a process (one opened store), and stay there while it says that it lives.

    Everything raises `StoreUnavailable`.
    """

    async def take(self, kind: str, name: str, text: str) -> tuple[bool, Page]:
        """Whether it is in our hand from now on, and the page as it is after that.

        Makes it, with this text, where there is none; a page that is there keeps its own, and loses its wish.
        Not taken where any living process has it in hand, be it this one. Raises `StoreUnavailable`, and then
        it may be in our hand: `leave` it before it is asked for again.
        """
        ...

    async def write(self, kind: str, name: str, text: str) -> Page:
        """Durable when it returns; the answer tells the wish. Raises `OutOfHand`, and `StoreUnavailable`."""
        ...

    async def leave(self, kind: str, name: str) -> None:
        """It is in nobody's hand from now on, and its wish is gone. Changes nothing where it is not ours."""
        ...

    async def ask(self, kind: str, name: str, wish: str) -> Page | None:
        """Let the process that has it in hand know; the page, or None where there is none.

        In nobody's hand it gets no wish: there is nobody to ask.
        """
        ...

    async def page(self, kind: str, name: str) -> Page | None: ...

    async def pages(self, kind: str) -> Sequence[Page]:
        """In the order in which they were made."""
        ...


class OutOfHand(EventBusError):
    """This process was taken for dead, and what it had in hand is another's by now, or nobody's."""

    def __init__(self, kind: str, name: str) -> None:
        self.kind = kind
        self.name = name
        super().__init__(
            f"the {kind} {name} is not in the hand of this process any more: it gave no sign of life, "
            "and another one may have taken it over. Nothing was written; look at it before you go on."
        )
