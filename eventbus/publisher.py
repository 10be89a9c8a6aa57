"""The way out: wrap → encode → send."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
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
        prepared = [self.prepare(event, None, options) for event in events]
        await self.send(prepared, timeout=options.get("timeout"))
        return [_receipt(outgoing) for outgoing in prepared]

    async def send(self, outgoing: Sequence[Outgoing], *, timeout: float | None = None) -> None:
        """Return when the broker has them all; else `SendFailed`, within `timeout` seconds."""
        limit = self._timeout if timeout is None else timeout
        if not limit > 0:
            raise InvalidEvent("timeout", "must be above 0 seconds", limit)
        if outgoing:
            await self._transport.send([each.message for each in outgoing], timeout=limit)

    def prepare(
        self, event: Event | Envelope[Any] | str, data: Mapping[str, Any] | None, options: PublishOptions
    ) -> Outgoing:
        """The message of an event; raises `InvalidEvent`, and nothing of it is sent."""
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
        if isinstance(event, Envelope):  # what an envelope says itself stands
            said = {name: value for name, value in event if value is not None}
            return envelope_from({**members, **said})
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
        delay = options.get("delay")
        if (at := options.get("at")) is not None:
            if delay is not None:
                raise InvalidEvent("delay", "and `at` exclude each other")
            if at.tzinfo is None:
                raise InvalidEvent("at", "must have a time zone: datetime.now(UTC), not datetime.now()", at)
            return self._checked(max(0.0, (at - self._clock.now()).total_seconds()))
        seconds = delay.total_seconds() if isinstance(delay, timedelta) else delay
        return self._checked(seconds or 0.0)

    def _checked(self, seconds: float) -> float:
        most = self._codec.limits.delay
        if 0 <= seconds <= most:
            return seconds
        raise InvalidEvent("delay", f"must be from 0 to {most} seconds", seconds)


def _receipt(outgoing: Outgoing) -> Receipt:
    return Receipt(outgoing.envelope.event_id, "scheduled" if outgoing.message.delay else "confirmed")
