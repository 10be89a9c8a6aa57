"""The envelope: an event with its id, type, time, version and causes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Generic, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    PlainValidator,
    StringConstraints,
    ValidationError,
)

from eventbus.errors import InvalidEvent, UnregisteredEvent
from eventbus.event import Event
from eventbus.topic import MAX_TYPE_BYTES

E = TypeVar("E")
Wrapped = TypeVar("Wrapped", bound=Event)

MAX_ID: Final = 255
_is_rfc_3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII
).fullmatch


def _in_utc(value: object) -> datetime:
    """The one validator of a time: pydantic's own before and after it would cost as much again."""
    if isinstance(value, str) and _is_rfc_3339(value):
        value = datetime.fromisoformat(value.upper())
        if value.tzinfo is UTC:
            return value
    if not isinstance(value, datetime):
        problem = "must be RFC 3339 with an offset, such as '2025-02-15T10:00:00Z'"
        raise ValueError(problem)  # noqa: TRY004  a TypeError would pass through pydantic
    if value.tzinfo is None:
        raise ValueError("must have a time zone: datetime.now(UTC), not datetime.now()")
    try:
        return value if value.tzinfo is UTC else value.astimezone(UTC)
    except OverflowError:
        raise ValueError("must lie between the years 1 and 9999 in UTC") from None


def _at_most_255_bytes(value: str) -> str:
    if len(value) > MAX_ID // 4 and len(value.encode()) > MAX_ID:
        raise ValueError
    return value


_Id = Annotated[str, StringConstraints(strict=True, pattern=r"\A[\x21-\x7e]{1,255}\z")]
_Text = Annotated[
    str,
    StringConstraints(strict=True, pattern=r"\A[^\x00-\x1f\x7f]+\z"),
    AfterValidator(_at_most_255_bytes),
]
_EventType = Annotated[
    str,
    StringConstraints(
        strict=True, max_length=MAX_TYPE_BYTES, pattern=r"\A[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*\z"
    ),
]
_Version = Annotated[
    str, StringConstraints(strict=True, pattern=r"\A(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})\z")
]
_Timestamp = Annotated[datetime, PlainValidator(_in_utc)]


class Envelope(BaseModel, Generic[E], frozen=True):
    """One event on its way. Frozen: `with_` and `caused_by` give changed copies.

    `event_id` is made by the producer and stays the same over every retry; `timestamp` is in UTC;
    `correlation_id` names the whole flow, `causation_id` the event that led to this one, `key` what keeps
    its order (an order id, say). Members that it does not know are ignored.
    """

    model_config = ConfigDict(extra="ignore", arbitrary_types_allowed=True)

    event_id: _Id
    event_type: _EventType
    timestamp: _Timestamp
    version: _Version
    data: E
    source: _Text | None = None
    correlation_id: _Id | None = None
    causation_id: _Id | None = None
    key: _Text | None = None

    @classmethod
    def wrap(
        cls, event: Wrapped, *, event_id: str, timestamp: datetime, **more: str | None
    ) -> Envelope[Wrapped]:
        """The envelope of a new event; raises `InvalidEvent` naming the member that breaks a rule."""
        if not event.__event_type__:
            name = type(event).__name__
            raise UnregisteredEvent(
                "event_type",
                f'is missing: declare `class {name}(Event, type="order.created", version="1.0")`',
            )
        return envelope_from(
            {
                "event_id": event_id,
                "event_type": event.__event_type__,
                "timestamp": timestamp,
                "version": event.__event_version__,
                "data": event,
                **more,
            }
        )

    def with_(self, **changes: Any) -> Envelope[Any]:
        """A copy with these members changed; the changes are taken as they are."""
        return _made({**self.__dict__, **changes})

    def caused_by(self, cause: Envelope[Any]) -> Envelope[E]:
        """A copy that names `cause` as its parent and belongs to the same flow."""
        return self.with_(causation_id=cause.event_id, correlation_id=cause.correlation_id or cause.event_id)


_Any: Final = Envelope[Any]
_validate: Final = _Any.__pydantic_validator__.validate_python
_MEMBERS: Final = set(_Any.model_fields)


def _made(members: dict[str, Any]) -> Envelope[Any]:
    """Of all members, none of them looked at again: what pydantic's own copies do, in a third of the time."""
    envelope = object.__new__(_Any)
    object.__setattr__(envelope, "__dict__", members)
    object.__setattr__(envelope, "__pydantic_fields_set__", _MEMBERS)
    object.__setattr__(envelope, "__pydantic_extra__", None)
    object.__setattr__(envelope, "__pydantic_private__", None)
    return envelope


def envelope_from(members: Mapping[str, object]) -> Envelope[Any]:
    """An envelope that keeps all the rules; raises `InvalidEvent` naming the first that is broken."""
    try:
        envelope: Envelope[Any] = _validate(members)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        member = str(first["loc"][0])
        of = members.get("event_type")
        raise InvalidEvent(
            member,
            _plainly(member, first["msg"]),
            None if first["type"] == "missing" else first["input"],
            event_type=of if isinstance(of, str) else None,
        ) from None
    return envelope


def _plainly(member: str, message: str) -> str:
    """The rule in the words of the contract rather than as a regular expression."""
    if message == "Field required":
        return "is missing"
    match member:
        case "event_id" | "correlation_id" | "causation_id":
            return f"must be 1 to {MAX_ID} visible ASCII characters"
        case "event_type":
            form = "must be lower-case words joined by dots, such as 'order.created'"
            return f"{form}, {MAX_TYPE_BYTES} bytes at most"
        case "version":
            return "must be MAJOR.MINOR, such as '1.0'"
        case "source" | "key":
            return f"must be 1 to {MAX_ID} bytes of text without control characters"
        case _:
            return message.removeprefix("Value error, ")
