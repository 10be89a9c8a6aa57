"""What a stream holds, as its reader sees it; and how rows become that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar, cast

from pydantic import BaseModel, create_model

from eventbus.codec import Codec, Limits
from eventbus.envelope import Envelope
from eventbus.errors import InvalidEvent, Unreadable
from eventbus.event import Event, parse_version
from eventbus.event_store import StoredEvent
from eventbus.registry import Registry
from eventbus.sourcing.errors import UnreadableEvent
from eventbus.transport import Message

E_co = TypeVar("E_co", bound=Event, covariant=True)
E = TypeVar("E", bound=Event)

_ANY_SIZE: Final = Limits(body=2**31)
"""What was taken once is read, whatever may be published today."""


class Recorded(Generic[E_co]):
    """One event of a stream."""

    __slots__ = ("_read_envelope", "_stored", "event")

    def __init__(
        self, stored: StoredEvent, event: E_co, read_envelope: Callable[[StoredEvent], Envelope[Any]]
    ) -> None:
        self._stored = stored
        self._read_envelope = read_envelope
        self.event = event
        """As the newest version of its class."""

    @property
    def stream(self) -> str:
        return self._stored.stream

    @property
    def version(self) -> int:
        """Which event of its stream it is; the first is 1."""
        return self._stored.version

    @property
    def position(self) -> int | None:
        """In the order of all streams; None where a stream was read before anybody has read that order."""
        return self._stored.position

    @property
    def envelope(self) -> Envelope[E_co]:
        """The event with its id, time and causes. Raises `UnreadableEvent` where just these are damaged."""
        envelope: Envelope[E_co] = self._read_envelope(self._stored).with_(data=self.event)
        return envelope


class Reading:
    """Turns rows into events of the classes that are known.

    Fast where the class has the event's own major version: then the data is all that is parsed, at a
    twentieth of the cost of a whole envelope. What that does not read is read in full, which says why.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._codec = Codec(_ANY_SIZE)
        self._fast: dict[tuple[type[Event], str], type[BaseModel] | None] = {}

    def event(self, stored: StoredEvent, target: type[E]) -> E:
        """Raises `UnreadableEvent`."""
        fast = self._model(target, stored.event_version)
        if fast is not None:
            try:
                event: E = getattr(fast.model_validate_json(stored.body), "data")  # noqa: B009  its one field
            except Exception:  # noqa: BLE001, S110 -- also a validator's own; reading it in full says which
                pass
            else:
                return event
        return cast("E", self._in_full(stored, target))

    def read(self, stored: StoredEvent, target: type[E]) -> Recorded[E]:
        """Raises `UnreadableEvent`."""
        return Recorded(stored, self.event(stored, target), self.envelope)

    def newest(self, stored: StoredEvent) -> Recorded[Event]:
        """As the newest class of its type that is known."""
        target = self._registry.newest(stored.event_type)
        if target is None:
            return Recorded(stored, self._in_full(stored, None), self.envelope)
        return self.read(stored, target)

    def envelope(self, stored: StoredEvent) -> Envelope[dict[str, Any]]:
        message = Message(stored.body, stored.event_type)
        try:
            return self._codec.decode(message)
        except Unreadable as error:
            raise _explained(stored, error) from error

    def _in_full(self, stored: StoredEvent, target: type[E] | None) -> Any:
        envelope = self.envelope(stored)
        try:
            return self._registry.upcast(envelope, target).data
        except Unreadable as error:
            raise _explained(stored, error) from error

    def _model(self, target: type[Event], version: str) -> type[BaseModel] | None:
        """What reads a body's data as this class; None where that takes an upcaster, or cannot be."""
        key = (target, version)
        if key not in self._fast:
            self._fast[key] = (
                create_model(f"Stored{target.__name__}", data=(target, ...))
                if _major(version) == target.__event_major__
                else None
            )
        return self._fast[key]


def _major(version: str) -> int:
    try:
        return parse_version(version)[0]
    except InvalidEvent:  # the row is damaged; reading it in full says what else is
        return -1


def _explained(stored: StoredEvent, error: Unreadable) -> UnreadableEvent:
    return UnreadableEvent(stored.stream, stored.version, stored.event_type, error.reason, error.problem)
