"""The way out: wrap → encode → send."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, Unpack, cast

from eventbus.clock import Clock
from eventbus.codec import Codec
from eventbus.context import Outgoing
from eventbus.envelope import Envelope, envelope_from
from eventbus.errors import InvalidEvent
from eventbus.event import Event
from eventbus.headers import NO_HEADERS
from eventbus.ids import new_event_id
from eventbus.options import PublishOptions
from eventbus.registry import Registry
from eventbus.topic import check_event_type
from eventbus.transport import Transport

MEMBERS: Final = ("event_id", "key", "correlation_id", "causation_id")
_OPTIONS: Final[frozenset[str]] = PublishOptions.__optional_keys__


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a published event."""

    event_id: str
    state: Literal["confirmed", "spooled", "scheduled"]
    """The broker has it on a quorum; a local file has it until then; the broker has it for later."""


class Publisher:
    """Publishes for one source. All events of a call are checked before the first byte is sent."""

    def __init__(
        self,
        transport: Transport,
        *,
        source: str,
        codec: Codec,
        registry: Registry,
        clock: Clock,
        timeout: float,
    ) -> None:
        self._transport = transport
        self._source = source
        self._codec = codec
        self._registry = registry
        self._clock = clock
        self._timeout = timeout

    def speaking_for(self, source: str) -> Publisher:
        """One that differs in the source of its events only."""
        return Publisher(
            self._transport,
            source=source,
            codec=self._codec,
            registry=self._registry,
            clock=self._clock,
            timeout=self._timeout,
        )

    async def publish(
        self,
        event: Event | Envelope[Any] | str,
        data: dict[str, Any] | None = None,
        **options: Unpack[PublishOptions],
    ) -> Receipt:
        outgoing = self.prepare(event, data, options)
        await self.send([outgoing], timeout=options.get("timeout"))
        return _receipt(outgoing)

    async def publish_many(
        self, events: Iterable[Event | Envelope[Any]], **options: Unpack[PublishOptions]
    ) -> list[Receipt]:
        if "event_id" in options:
            raise InvalidEvent("event_id", "is of one event: publish it alone, or wrap each in an Envelope")
        prepared = [self.prepare(event, None, options) for event in events]
        await self.send(prepared, timeout=options.get("timeout"))
        return [_receipt(outgoing) for outgoing in prepared]

    async def send(self, outgoing: Sequence[Outgoing], *, timeout: float | None = None) -> None:
        """Return when the broker has them all; else `SendFailed`, within `timeout` seconds."""
        limit = self._timeout if timeout is None else timeout
        if not 0 < limit < math.inf:
            raise InvalidEvent("timeout", "must be above 0 seconds, and finite", limit)
        if outgoing:
            await self._transport.send([each.message for each in outgoing], timeout=limit)

    def prepare(
        self, event: Event | Envelope[Any] | str, data: Mapping[str, Any] | None, options: PublishOptions
    ) -> Outgoing:
        """The message of an event; raises `InvalidEvent`, and nothing of it is sent."""
        if options:
            _check_names(options)
        envelope = self._envelope(event, data, options)
        message = self._codec.encode(envelope, headers=options.get("headers", NO_HEADERS))
        if delay := self._delay(options):
            message = dataclasses.replace(message, delay=delay)
        return Outgoing(envelope, message)

    def _envelope(
        self, event: Event | Envelope[Any] | str, data: Mapping[str, Any] | None, options: PublishOptions
    ) -> Envelope[Any]:
        members: dict[str, Any] = {"source": self._source}
        members |= {name: value for name, value in options.items() if name in MEMBERS}
        if not isinstance(event, str):
            _refuse_what_is_for_names(data, options)
        if isinstance(event, Envelope):
            return _enveloped(event, members)
        members.setdefault("event_id", new_event_id())
        if isinstance(event, Event):
            return Envelope.wrap(event, timestamp=self._clock.now(), **members)
        return self._by_name(event, data, options.get("version"), members)

    def _by_name(
        self, event_type: object, data: object, version: str | None, members: dict[str, Any]
    ) -> Envelope[Any]:
        if not isinstance(event_type, str):
            problem = "must be an Event, an Envelope, or an event type with its data"
            raise InvalidEvent("event", problem, event_type)
        check_event_type(event_type)
        if not isinstance(data, Mapping):
            raise InvalidEvent("data", "must be a dict of the event's members", data, event_type=event_type)
        data = cast("Mapping[str, Any]", data)
        event = self._registry.validate(event_type, data, version)
        if event is not None:
            return Envelope.wrap(event, timestamp=self._clock.now(), **members)
        return envelope_from(
            {
                "event_type": event_type,
                "timestamp": self._clock.now(),
                "version": version or "1.0",
                "data": data,
                **members,
            }
        )

    def _delay(self, options: PublishOptions) -> float:
        delay, at = options.get("delay"), options.get("at")
        if delay is not None and at is not None:
            raise InvalidEvent("delay", "and `at` exclude each other")
        if at is not None:
            return self._checked("at", max(0.0, _seconds_until(at, self._clock)), at)
        if delay is None:
            return 0.0
        seconds = delay.total_seconds() if isinstance(delay, timedelta) else delay
        return self._checked("delay", seconds, delay)

    def _checked(self, field: str, seconds: object, given: object) -> float:
        most = self._codec.limits.delay
        if isinstance(seconds, (int, float)) and 0 <= seconds <= most:
            return float(seconds)
        raise InvalidEvent(field, f"must be from 0 to {most} seconds from now", given)


def _enveloped(given: Envelope[Any], members: dict[str, Any]) -> Envelope[Any]:
    """What an envelope says itself stands, but for the version of data that has been upcast since it came."""
    said = {name: value for name, value in given if value is not None}
    if isinstance(given.data, Event):
        if given.data.__event_type__ != given.event_type:
            problem = f"is {type(given.data).__qualname__}, which is no {given.event_type}"
            raise InvalidEvent("data", problem, event_type=given.event_type)
        said["version"] = given.data.__event_version__
    return envelope_from({**members, **said})


def _seconds_until(at: object, clock: Clock) -> float:
    if not isinstance(at, datetime) or at.utcoffset() is None:
        raise InvalidEvent("at", "must be a time with its zone: datetime.now(UTC), not datetime.now()", at)
    return (at - clock.now()).total_seconds()


def _check_names(options: PublishOptions) -> None:
    """A misspelt `delay` must not publish at once."""
    for name in options:
        if name not in _OPTIONS:
            near = difflib.get_close_matches(name, _OPTIONS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(sorted(_OPTIONS))}"
            raise TypeError(f"publish() has no option {name!r}{hint}")


def _refuse_what_is_for_names(data: object, options: PublishOptions) -> None:
    if data is not None:
        problem = "goes with an event type only; this event has its own"
        raise InvalidEvent("data", problem, data)
    if "version" in options:
        problem = "goes with an event type only; the class of this event says its own"
        raise InvalidEvent("version", problem, options["version"])


def _receipt(outgoing: Outgoing) -> Receipt:
    return Receipt(outgoing.envelope.event_id, "scheduled" if outgoing.message.delay else "confirmed")
