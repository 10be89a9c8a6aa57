"""The way out: wrap → encode → send."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Unpack, cast

from eventbus.clock import Clock
from eventbus.codec import Codec
from eventbus.envelope import Envelope, envelope_from
from eventbus.errors import ConfigurationError, InvalidEvent
from eventbus.event import Event
from eventbus.headers import NO_HEADERS
from eventbus.ids import new_event_id
from eventbus.options import PublishOptions
from eventbus.outgoing import Form, Outgoing, Wrapped
from eventbus.pieces import send_in_pieces
from eventbus.registry import Registry
from eventbus.sending import OrRaising, Sending, State, kept
from eventbus.store import Joined, Store
from eventbus.topic import check_event_type
from eventbus.transport import Transport
from eventbus.value import value

MEMBERS: Final = ("event_id", "key", "correlation_id", "causation_id")
_ABOUT_THE_CALL: Final = frozenset({"timeout"})
"""Options that change nothing about the event."""
_OPTIONS: Final[frozenset[str]] = PublishOptions.__optional_keys__


@value
class Receipt:
    """What became of a published event."""

    event_id: str
    state: State


class Publisher:
    """Publishes for one source. The events of a call are checked before a byte is sent."""

    def __init__(
        self,
        transport: Transport,
        *,
        source: str,
        codec: Codec,
        registry: Registry,
        clock: Clock,
        timeout: float,
        sending: Sending | None = None,
        store: Store | None = None,
    ) -> None:
        """`sending`: what happens while the broker is away; None: it raises. `store`: for transactions."""
        self._transport = transport
        self._sending = sending or OrRaising(transport)
        self._store = store
        self._source = source
        self._codec = codec
        self._registry = registry
        self._clock = clock
        self._timeout = timeout
        self._forms: dict[type[Event], Form] = {}

    def speaking_for(self, source: str) -> Publisher:
        """One that differs in the source of its events only."""
        return Publisher(
            self._transport,
            source=source,
            codec=self._codec,
            registry=self._registry,
            clock=self._clock,
            timeout=self._timeout,
            sending=self._sending,
            store=self._store,
        )

    async def publish(
        self,
        event: Event | Envelope[Any] | str,
        data: dict[str, Any] | None = None,
        **options: Unpack[PublishOptions],
    ) -> Receipt:
        options, joined = self._joined(options)
        (receipt,) = await self._let_go([self.prepare(event, data, options)], options, joined)
        return receipt

    async def publish_many(
        self, events: Iterable[Event | Envelope[Any]], **options: Unpack[PublishOptions]
    ) -> list[Receipt]:
        if "event_id" in options:
            raise InvalidEvent("event_id", "is of one event: publish it alone, or wrap each in an Envelope")
        options, joined = self._joined(options)
        if options:
            _check_names(options)
        total = 0
        if isinstance(events, Collection):  # as it is now: it may change while others have their turn
            events = list(events)
            total = len(events)
        is_plain = options.keys() <= _ABOUT_THE_CALL
        outgoing = (
            self._filled(event)
            if is_plain and isinstance(event, Event)
            else self._wrapped(event, None, options)
            for event in events
        )
        if joined is not None:
            return await self._let_go(list(outgoing), options, joined)
        limit = self._limit(options.get("timeout"))
        return await send_in_pieces(outgoing, self._sent, timeout=limit, total=total)

    def enqueue(
        self,
        event: Event | Envelope[Any] | str,
        data: dict[str, Any] | None = None,
        **options: Unpack[PublishOptions],
    ) -> Receipt:
        """`publish` in a `transaction` of a thread that has no event loop; may be called from any thread."""
        options, joined = self._joined(options)
        if joined is None:
            raise InvalidEvent("transaction", "is missing: without one, use `await bus.publish(…)`")
        outgoing = self.prepare(event, data, options)
        joined.put_now([outgoing.message], [outgoing.key])
        return _receipt(outgoing, kept(outgoing))

    async def send(self, outgoing: Sequence[Outgoing], *, timeout: float | None = None) -> Sequence[State]:
        """What became of each: the broker has it, or what was said for when it is away.

        Raises `SendFailed` within `timeout` seconds.
        """
        limit = self._limit(timeout)
        return await self._sending.send(outgoing, timeout=limit) if outgoing else ()

    def _limit(self, timeout: float | None) -> float:
        limit = self._timeout if timeout is None else timeout
        if not 0 < limit < math.inf:
            raise InvalidEvent("timeout", "must be above 0 seconds, and finite", limit)
        return limit

    def _let_go(
        self, outgoing: Sequence[Outgoing], options: PublishOptions, joined: Joined | None
    ) -> Awaitable[list[Receipt]]:
        return self._sent(outgoing, options.get("timeout")) if joined is None else self._put(outgoing, joined)

    async def _sent(self, outgoing: Sequence[Outgoing], timeout: float | None) -> list[Receipt]:
        return list(map(_receipt, outgoing, await self.send(outgoing, timeout=timeout)))

    async def _put(self, outgoing: Sequence[Outgoing], joined: Joined) -> list[Receipt]:
        await joined.put([each.message for each in outgoing], [each.key for each in outgoing])
        return [_receipt(each, kept(each)) for each in outgoing]

    def _joined(self, options: PublishOptions) -> tuple[PublishOptions, Joined | None]:
        """The options without the transaction, and what writes in it; raises `WrongTransaction`."""
        if "transaction" not in options:
            return options, None
        if self._store is None:
            raise ConfigurationError(
                "transaction=…: this bus has no store that could keep the event until then: "
                'give it one, Bus(…, store="sqlite:///shop.db") or EVENTBUS_STORE.'
            )
        options = options.copy()
        return options, self._store.join(options.pop("transaction"))

    def prepare(
        self, event: Event | Envelope[Any] | str, data: Mapping[str, Any] | None, options: PublishOptions
    ) -> Outgoing:
        """The message of an event; raises `InvalidEvent`, and nothing of it is sent. Fit for any thread."""
        if options:
            _check_names(options)
        if data is None and isinstance(event, Event) and options.keys() <= _ABOUT_THE_CALL:
            return self._filled(event)
        return self._wrapped(event, data, options)

    def _filled(self, event: Event) -> Outgoing:
        event_id, now = new_event_id(), self._clock.now()
        form = self._forms.get(type(event))
        if form is not None and now.tzinfo is UTC:
            return form.filled(event, event_id, now)
        envelope = Envelope.wrap(event, event_id=event_id, timestamp=now, source=self._source)
        message = self._codec.encode(envelope)
        self._forms[type(event)] = Form(envelope, self._codec)
        return Wrapped(envelope, message)

    def _wrapped(
        self, event: Event | Envelope[Any] | str, data: Mapping[str, Any] | None, options: PublishOptions
    ) -> Outgoing:
        envelope = self._envelope(event, data, options)
        message = self._codec.encode(envelope, headers=options.get("headers", NO_HEADERS))
        if delay := self._delay(options):
            message = dataclasses.replace(message, delay=delay)
        return Wrapped(envelope, message)

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


def _receipt(outgoing: Outgoing, state: State) -> Receipt:
    return Receipt(outgoing.message.event_id or "", state)


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
    if "transaction" in options:
        problem = "is not for a handler, whose events leave with it: ask for the Transaction as a parameter"
        raise InvalidEvent("transaction", problem)
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
