"""Which class describes which event type and version, and how older versions are read."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import to_json

from eventbus.envelope import Envelope
from eventbus.errors import DuplicateEvent, InvalidEvent, Unreadable, UnregisteredEvent, describe, shorten
from eventbus.event import Event, major_of, parse_version
from eventbus.hints import first_names
from eventbus.outcome import Reason
from eventbus.secret import is_marked


class Registry:
    """The event classes of one bus: for each event type its versions, oldest first.

    `closed`: these are all there are, so that publishing any other type by its name is a mistake.
    """

    def __init__(self, events: Iterable[type[Event]] = (), *, closed: bool = False) -> None:
        self.closed = closed
        self._versions: dict[str, dict[tuple[int, int], type[Event]]] = {}
        for event in events:
            self.add(event)

    def add(self, event: type[Event]) -> None:
        """Add a class and the older ones that its upcasters read; a class without a type adds nothing."""
        if not event.__event_type__:
            return
        versions = self._versions.get(event.__event_type__, {})
        version = parse_version(event.__event_version__)
        known = versions.get(version)
        if known is not None and known is not event:
            raise DuplicateEvent(event.__event_type__, event.__event_version__, _name(known), _name(event))
        self._put(event.__event_type__, {**versions, version: event})
        if event.__upcaster__ is not None and known is None:
            self.add(event.__upcaster__[0])

    def collect(self, names: Mapping[str, object]) -> None:
        """Add every event class among the values of `names`: a module's namespace, say."""
        for value in list(names.values()):
            if isinstance(value, type) and issubclass(value, Event):
                self.add(value)

    def learn(self, other: Registry) -> None:
        """Add what the other knows and this one does not; where both have a class, this one keeps its own."""
        for event in other:
            versions = self._versions.get(event.__event_type__, {})
            self._put(event.__event_type__, {parse_version(event.__event_version__): event} | versions)

    def __iter__(self) -> Iterator[type[Event]]:
        return iter([event for versions in self._versions.values() for event in versions.values()])

    def types(self) -> list[str]:
        return sorted(self._versions)

    def newest(self, event_type: str) -> type[Event] | None:
        """The class of the newest version, or None where no class describes this type."""
        versions = self._versions.get(event_type)
        return next(reversed(versions.values())) if versions else None

    def validate(self, event_type: str, data: Mapping[str, Any], version: str | None = None) -> Event | None:
        """`data` as an event; None where the type is unknown and may be.

        Of the newest version that lacks nothing and knows every member given, unless told; where there is
        none, of the newest. Raises `UnregisteredEvent` or `InvalidEvent`, naming the field that does not fit.
        """
        event = self._to_publish(event_type, version, data)
        if event is None:
            return None
        try:
            return event.model_validate(dict(data))
        except ValidationError as error:
            field, problem, value = _first(error)
            if is_marked(event):
                value = None  # it may be the secret
            raise InvalidEvent(field, f"does not fit: {problem}", value, event_type=event_type) from None

    def _put(self, event_type: str, versions: Mapping[tuple[int, int], type[Event]]) -> None:
        self._versions[event_type] = dict(sorted(versions.items()))

    def _to_publish(
        self, event_type: str, version: str | None, data: Mapping[str, Any]
    ) -> type[Event] | None:
        versions = self._versions.get(event_type)
        if versions is None:
            if not self.closed:
                return None
            near = difflib.get_close_matches(event_type, self._versions, n=1)
            hint = (
                f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(self.types()) or 'none'}"
            )
            raise UnregisteredEvent("event_type", f"{event_type!r} has no class{hint}")
        if version is None:
            return _meant(list(versions.values()), data)
        if (event := versions.get(parse_version(version))) is None:
            known = ", ".join(e.__event_version__ for e in versions.values())
            raise UnregisteredEvent(
                "version", f"has no class; known are {known}", version, event_type=event_type
            )
        return event

    def upcast(
        self, envelope: Envelope[dict[str, Any]], target: type[Event] | None = None
    ) -> Envelope[Event]:
        """The envelope with its data as `target`, or as the newest class of its type.

        A newer minor version is read tolerantly, an older major one through the upcasters; `Unreadable` else.
        """
        target = target or self.newest(envelope.event_type)
        if target is None:
            raise Unreadable(
                Reason.UNKNOWN_TYPE,
                f"no class describes {envelope.event_type}; add it to the service's schemas",
            )
        return envelope.with_(data=_read(target, major_of(envelope.version), envelope))


def _meant(versions: Sequence[type[Event]], data: Mapping[str, Any]) -> type[Event]:
    """The newest that lacks nothing and knows all that is given: no member is lost; the newest else."""
    if len(versions) == 1:
        return versions[0]
    return next((event for event in reversed(versions) if _fits(event, data.keys())), versions[-1])


def _fits(event: type[Event], given: AbstractSet[str]) -> bool:
    fields = [(_names(event, name, field), field) for name, field in event.model_fields.items()]
    return given <= set[str]().union(*(names for names, _ in fields)) and all(
        given & names for names, field in fields if field.is_required()
    )


def _names(event: type[Event], name: str, field: FieldInfo) -> set[str]:
    """Under which a member may be given."""
    if field.validation_alias is None:
        return {name}
    by_name = event.model_config.get("validate_by_name") or event.model_config.get("populate_by_name")
    return first_names(field.validation_alias) | ({name} if by_name else set())


def _read(target: type[Event], major: int, envelope: Envelope[dict[str, Any]]) -> Event:
    if major == target.__event_major__:
        return _validated(target, envelope)
    if major > target.__event_major__ or target.__upcaster__ is None:
        raise Unreadable(
            Reason.UNSUPPORTED_VERSION,
            f"{envelope.event_type} {envelope.version} cannot be read: the newest class here is "
            f"{target.__event_version__}"
            + ("" if major > target.__event_major__ else ", and no @upcast leads there"),
        )
    return _stepped(target, *target.__upcaster__, major, envelope)


def _stepped(
    target: type[Event],
    older: type[Event],
    step: Callable[[Any], Any],
    major: int,
    envelope: Envelope[dict[str, Any]],
) -> Event:
    old = _read(older, major, envelope)
    try:
        new: object = step(old)
    except Exception as error:
        problem = f"the upcaster to {target.__event_version__} failed: {shorten(repr(error))}"
        raise Unreadable(Reason.INVALID_DATA, problem) from error
    if not isinstance(new, target):
        problem = f"the upcaster to {target.__event_version__} gave {type(new).__name__}"
        raise Unreadable(Reason.INVALID_DATA, problem)
    return new


def _validated(target: type[Event], envelope: Envelope[dict[str, Any]]) -> Event:
    try:
        return _read_data(target, envelope.data)
    except ValidationError as error:
        field, problem, _ = _first(error)
    except Exception as error:  # noqa: BLE001 -- a validator of the model's own; no retry makes it pass
        field, problem = "data", describe(error)
    raise Unreadable(
        Reason.INVALID_DATA, f"{field} of {envelope.event_type} {envelope.version} does not fit: {problem}"
    )


def _read_data(target: type[Event], data: dict[str, Any]) -> Event:
    validator = target.__pydantic_validator__
    try:
        event: Event = validator.validate_python(data)
    except ValidationError:
        # A strict field takes a time, a `Decimal` or a tuple from JSON only.
        event = validator.validate_json(to_json(data))
    return event


def _first(error: ValidationError) -> tuple[str, str, object]:
    """Field, rule and value of the first complaint."""
    first = error.errors(include_url=False, include_context=False)[0]
    field = shorten(".".join(["data", *(str(part) for part in first["loc"])]))
    return field, shorten(first["msg"]), first["input"]


def _name(event: type[Event]) -> str:
    return f"{event.__module__}.{event.__qualname__}"
