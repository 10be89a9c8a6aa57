"""What can go wrong with streams of events."""

from __future__ import annotations

from eventbus.errors import EventBusError, shorten


class VersionConflict(EventBusError):
    """Somebody else has appended to the stream meanwhile. Nothing was written."""

    def __init__(self, stream: str, expected: int, actual: int) -> None:
        self.stream = stream
        self.expected = expected
        self.actual = actual
        """The version that the stream has; 0 where it does not exist."""
        has = f"is at version {actual}" if actual else "does not exist"
        wanted = f"version {expected} was expected" if expected else "a new one was expected"
        super().__init__(
            f"stream {shorten(stream)!r} {has}, {wanted}. Nothing was written: load it again and decide "
            "anew, which Repository.act(…, attempts=5) does."
        )


class UnknownStream(EventBusError):
    """There is no event in the stream."""

    def __init__(self, stream: str) -> None:
        self.stream = stream
        super().__init__(
            f"there is no stream {shorten(stream)!r} in this store. A stream begins with its first event: "
            "append with expected_version=0, or save a new aggregate."
        )


class InvalidStream(EventBusError, ValueError):
    """A stream's name or version breaks a rule: `field` names it. Nothing was written."""

    def __init__(self, field: str, problem: str, value: object) -> None:
        self.field = field
        self.problem = problem
        self.value = value
        super().__init__(f"{field} {problem} (got {shorten(repr(value))}). Nothing was written: correct it.")


class UnreadableEvent(EventBusError):
    """An event of a stream that no class here can read: malformed, of an unknown type or a newer version."""

    def __init__(self, stream: str, version: int, event_type: str, reason: str, problem: str) -> None:
        self.stream = stream
        self.version = version
        """Of the stream: which of its events it is."""
        self.event_type = event_type
        self.reason = reason
        """As a dead letter has it: `invalid-data`, `unknown-type`, …"""
        self.problem = problem
        super().__init__(
            f"event {version} of stream {shorten(stream)!r} ({shorten(event_type)}) cannot be read, "
            f"{reason}: {problem}. Give EventStore(bus, [...]) the classes of all its events, and an "
            "@upcast for each older major version; a row that is damaged has to be restored from a backup."
        )


class UnappliedEvent(EventBusError):
    """An aggregate has an event that it does not know how to apply."""

    def __init__(self, aggregate: str, event: str) -> None:
        self.aggregate = aggregate
        self.event = event
        super().__init__(
            f"{aggregate} has no @applies method for {event}. Add one; it may do nothing where the event "
            "changes nothing."
        )
