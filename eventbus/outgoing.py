"""What is ready to leave: a message, and the envelope in it for whoever asks."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

from eventbus.codec import CONTENT_TYPE, Codec
from eventbus.envelope import Envelope
from eventbus.event import Event
from eventbus.headers import NO_HEADERS
from eventbus.transport import Message
from eventbus.value import value


class Outgoing(Protocol):
    """An event that is ready to be sent."""

    @property
    def message(self) -> Message: ...

    @property
    def envelope(self) -> Envelope[Any]: ...

    @property
    def key(self) -> str | None:
        """That of its envelope."""
        ...


@value
class Wrapped:
    """One that has been put in an envelope, and checked with it."""

    envelope: Envelope[Any]
    message: Message

    @property
    def key(self) -> str | None:
        return self.envelope.key


class Form:
    """What all events of one class and source have in common, checked once, with the first of them.

    Those after it differ in what is made here, their id and time, and in their data, which is a valid model.
    """

    def __init__(self, checked: Envelope[Any], codec: Codec) -> None:
        """`checked`: with no more members than every event has."""
        self.checked = checked.with_(data=None)
        self._members = codec.members(checked) | {"data": None}
        self._event_type = checked.event_type
        self._source = checked.source
        self._codec = codec

    def filled(self, event: Event, event_id: str, timestamp: datetime) -> Filled:
        """With an id of our own and a time in UTC; raises `InvalidEvent` when the data cannot travel."""
        members = self._members.copy()
        members["event_id"], members["timestamp"], members["data"] = event_id, timestamp, event
        body, event_type = self._codec.written(members), self._event_type
        message = Message(
            body, event_type, NO_HEADERS, event_id, event_type, CONTENT_TYPE, timestamp, self._source
        )
        return Filled(message, self, event)


class Filled:
    """A form filled in. Its envelope is made when somebody asks: seldom, where the broker is there."""

    __slots__ = ("_event", "_form", "message")

    def __init__(self, message: Message, form: Form, event: Event) -> None:
        self.message = message
        self._form = form
        self._event = event

    @property
    def key(self) -> str | None:
        return self._form.checked.key

    @property
    def envelope(self) -> Envelope[Any]:
        message = self.message
        return self._form.checked.with_(
            event_id=message.event_id, timestamp=message.timestamp, data=self._event
        )
