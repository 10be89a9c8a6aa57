"""What a handler may ask for beside the event."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol, Unpack

from eventbus.envelope import Envelope
from eventbus.event import Event
from eventbus.ids import derived_event_id
from eventbus.options import PublishOptions
from eventbus.outgoing import Outgoing
from eventbus.ready import Ready

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


class Prepare(Protocol):
    """Wraps and encodes an event; raises `InvalidEvent`."""

    def __call__(
        self, event: Event | Envelope[Any] | str, data: dict[str, Any] | None, options: PublishOptions
    ) -> Outgoing: ...


class Context:
    """One run of one handler; ask for it by annotation: `async def charge(event: …, context: Context)`."""

    __slots__ = (
        "_log",
        "_prepare",
        "attempt",
        "envelopes",
        "outgoing",
        "replay",
        "reruns",
        "subscription",
        "transaction",
    )

    def __init__(
        self,
        subscription: str,
        envelopes: tuple[Envelope[Any], ...],
        attempt: int,
        replay: str | None,
        reruns: tuple[str, ...],
        prepare: Prepare,
        log: Callable[[Context], FilteringBoundLogger],
    ) -> None:
        self.subscription = subscription
        """`<service>.<handler>`, which is also the queue's name."""
        self.envelopes = envelopes
        """What is handled: one, or with `Batch` all of the batch."""
        self.attempt = attempt
        """1 the first time; of a batch, the highest."""
        self.replay = replay
        """The id of the replay that this event comes from, or None."""
        self.reruns = reruns
        """Of each envelope: the id of the replay that has it handled again, or an empty text."""
        self.outgoing: list[Outgoing] = []
        """What leaves when the handler has succeeded."""
        self.transaction: Any = None
        """What the handler runs in: a `Transaction`, or a session of its own; None where it asks for none."""
        self._prepare = prepare
        self._log = log

    @property
    def envelope(self) -> Envelope[Any]:
        """The event with its id, time and causes; of a batch, the first."""
        return self.envelopes[0]

    @property
    def idempotency_key(self) -> str:
        """Stable over retries, redeliveries and redrives: hand it to outside services that take a key."""
        return f"{self.subscription}:{self.envelope.event_id}"

    @property
    def log(self) -> FilteringBoundLogger:
        """A structlog logger that carries service, subscription, event id, type and attempt."""
        return self._log(self)

    def publish(
        self,
        event: Event | Envelope[Any] | str,
        data: dict[str, Any] | None = None,
        **options: Unpack[PublishOptions],
    ) -> Ready[Envelope[Any]]:
        """Publish an event caused by this one. It leaves when the handler has succeeded, and not otherwise.

        A second run after a crash gives it the same event_id, so that a copy can be told from a new event.
        `await` gives its envelope; a plain function, which cannot wait, has published it all the same.
        """
        outgoing = self._prepare(event, data, self._caused(options))
        self.outgoing.append(outgoing)
        return Ready(outgoing.envelope)

    def returned(self, event: Event | Envelope[Any]) -> None:
        """Take an event that the handler returned."""
        self.outgoing.append(self._prepare(event, None, self._caused({})))

    def _caused(self, options: PublishOptions) -> PublishOptions:
        cause = self.envelope
        handler = f"{self.subscription}@{self.reruns[0]}" if self.reruns[0] else self.subscription
        if len(self.envelopes) > 1:
            handler += "".join(e.event_id for e in self.envelopes[1:])
        caused: PublishOptions = {
            "event_id": derived_event_id(cause.event_id, cause.timestamp, handler, len(self.outgoing)),
            "causation_id": cause.event_id,
            "correlation_id": cause.correlation_id or cause.event_id,
        }
        return {**caused, **options}


Proceed = Callable[[Context], Coroutine[Any, Any, None]]
"""One run, or the rest of what is around it: returns when it has succeeded, or raises its error."""
