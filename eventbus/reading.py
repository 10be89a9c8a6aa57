"""From a message to the envelope that a handler wants: in one pass where it is plain, else step by step.

Most bodies are an envelope around a plain model of the version that is known here, and pydantic reads and
checks all of that in one pass over the bytes. Whatever is unusual about a message, or wrong with it, is
found by going the whole way: decode, then upcast.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Never

from eventbus.codec import CONTENT_TYPE, Codec, Limits
from eventbus.envelope import Envelope
from eventbus.errors import Unreadable
from eventbus.event import Event, major_of
from eventbus.outcome import Reason
from eventbus.plain_models import NamesOf, names_of
from eventbus.strict_json import count_names, has_long_number
from eventbus.transport import Message

_COLON, _BACKSLASH = b":\\"
_IN_THE_TIME: Final = 2
"""Colons of every timestamp, which RFC 3339 writes into its text unless they are escaped."""
_LONGEST_REST: Final = 1024
"""Messages that are not tried after those before could not be read in one pass."""
_MOST_TYPES: Final = 10_000
"""Known at a time; those of one subscription to `#` are as many as publishers make them."""

Wanted = Callable[[Envelope[dict[str, Any]]], Envelope[Any]]
"""The envelope with its data as the handler wants it; raises `Unreadable`."""
Refusal = Callable[[str], str | None]
"""Why events of a type are not for this subscription; None for those that are."""


class Reading:
    """Of one subscription."""

    def __init__(
        self, codec: Codec, wanted: Wanted, classes: Mapping[str, type[Event]], refusal: Refusal
    ) -> None:
        """`classes`: that the handler takes, by event type; empty where it takes others."""
        self._codec = codec
        self._wanted = wanted
        self._classes = classes
        self._refusal = refusal
        self._plain: dict[str, _Plain | _Refused | None] = {}
        """By event type; None where its class is not plain."""

    def read(self, message: Message) -> Envelope[Any]:
        """Raises `Unreadable` with the reason."""
        event_type = message.routing_key
        plain = self._plain.get(event_type) or self._plain_of(event_type)
        if plain is None:
            return self._wanted(self._codec.decode(message))
        if (envelope := plain.read(message)) is not None:
            return envelope
        decoded = self._codec.decode(message)
        return plain.read_decoded(decoded, message.body) or self._wanted(decoded)

    def _plain_of(self, event_type: str) -> _Plain | _Refused | None:
        if event_type not in self._plain:
            if len(self._plain) >= _MOST_TYPES:
                self._plain.clear()
            self._plain[event_type] = self._seen_first(event_type)
        return self._plain[event_type]

    def _seen_first(self, event_type: str) -> _Plain | _Refused | None:
        if (problem := self._refusal(event_type)) is not None:
            return _Refused(problem)
        event = self._classes.get(event_type)
        names = None if event is None else names_of(event)
        return _Plain(event, names, self._codec.limits) if event and names else None


class _Refused:
    """An event type that is not for this subscription. What else is wrong with a message is told first."""

    def __init__(self, problem: str) -> None:
        self._problem = problem

    def read(self, _: Message) -> None:
        return None

    def read_decoded(self, _: Envelope[dict[str, Any]], __: bytes) -> Never:
        raise Unreadable(Reason.UNKNOWN_TYPE, self._problem)


class _Plain:
    """One event class."""

    def __init__(self, event: type[Event], names: NamesOf, limits: Limits) -> None:
        self._version, self._major = event.__event_version__, event.__event_major__
        self._names = names
        self._longest, self._limits = limits.body, limits.json
        self._digits = limits.json.digits
        self._read = Envelope[event].__pydantic_validator__.validate_json  # type: ignore[valid-type]
        self._misses = self._resting = 0

    def read(self, message: Message) -> Envelope[Any] | None:
        """None where it takes more than one pass to be sure."""
        if self._resting:
            self._resting -= 1
            return None
        body = message.body
        if message.content_type != CONTENT_TYPE or (
            (size := len(body)) > self._digits
            and (size > self._longest or has_long_number(body, self._limits))
        ):
            return None
        try:
            envelope: Envelope[Any] = self._read(body)
        except Exception:  # noqa: BLE001 -- which may be a validator's own; it comes again where it is told
            self._missed()
            return None
        members = envelope.__dict__  # to look there takes a third of the time
        names = len(envelope.__pydantic_fields_set__) + self._names(members["data"])
        if (
            members["event_type"] == message.routing_key
            and ((version := members["version"]) == self._version or major_of(version) == self._major)
            # There is a colon behind each name. As mostly, no other text has one; else a name stands
            # twice, or there is one that nobody here knows.
            and (
                (body.count(_COLON) == names + _IN_THE_TIME and _BACKSLASH not in body)
                or count_names(body) == names
            )
        ):
            if self._misses:
                self._misses = 0
            return envelope
        self._missed()
        return None

    def read_decoded(self, decoded: Envelope[dict[str, Any]], body: bytes) -> Envelope[Any] | None:
        """With the same data as in one pass: of JSON, `100.0` becomes `Decimal("100")`, and of a dict
        `Decimal("100.0")`. None where it is of another major version, or does not fit."""
        if major_of(decoded.version) != self._major:
            return None
        try:
            return decoded.with_(data=self._read(body).data)
        except Exception:  # noqa: BLE001 -- as above
            return None

    def _missed(self) -> None:
        """The next may be like this one: to try each in vain would cost half as much again."""
        self._misses += 1
        self._resting = min(2**self._misses, _LONGEST_REST)
