"""Fields whose values no operator sees: how they are marked, and what is shown in their place."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from types import UnionType
from typing import Annotated, Any, Final, TypeVar, cast, get_args, get_origin

from pydantic import RootModel

from eventbus.event import Event
from eventbus.hints import Unresolved, meaning, members, within
from eventbus.strict_json import BadJson, JsonLimits, read_object

MASK: Final = "***"
"""Stands where a secret is."""


@dataclasses.dataclass(frozen=True, slots=True)
class Secret:
    """Marks a field whose value is published, and handled, and shown to nobody:

        class CardAdded(Event, type="card.added"):
            user_id: int
            card_number: Annotated[str, Secret()]

    It may stand anywhere in an annotation, also in those of the models within. The broker has the value as
    it is: what must not lie there is not published at all, but kept elsewhere and referred to.
    """


class Secrets:
    """Masks what the fields of these classes mark. Of a type that none of them describes nothing is known."""

    def __init__(self, events: Iterable[type[Event]] = ()) -> None:
        self._events: dict[str, list[type[Event]]] = {}
        for event in events:
            if is_marked(event):
                self._events.setdefault(event.__event_type__, []).append(event)

    def data(self, event_type: str, data: object) -> object:
        """With `MASK` in place of what any version of the event type marks; a copy, where there is any."""
        for event in self._events.get(event_type, ()):
            data = _masked(data, event)
        return data

    def body(self, routing_key: str, body: bytes) -> bytes:
        """Of a message. Where a type has secrets and the body cannot be read, all of it is masked."""
        if not self._events:
            return body
        try:
            # As strictly as subscribers do: of a name that stands twice, the other one may be the secret.
            told = read_object(body, JsonLimits())
        except BadJson:
            may_be = {routing_key, *_types_in(body)}
            return body if may_be.isdisjoint(self._events) else MASK.encode()
        data = masked = told.get("data")
        for event_type in {routing_key, str(told.get("event_type"))}:
            masked = self.data(event_type, masked)
        if masked == data:
            return body
        return json.dumps({**told, "data": masked}, ensure_ascii=False).encode()


def is_marked(hint: object) -> bool:
    """Whether there is a mark anywhere in an annotation or a class; or may be, where nobody can say."""
    return any(
        each is Unresolved or (get_origin(each) is Annotated and _marks(get_args(each)[1:]))
        for each in within(hint)
    )


def _types_in(body: bytes) -> set[str]:
    """All event types that a body says it has, which is not read otherwise."""
    found = set[str]()

    def look(pairs: list[tuple[str, object]]) -> None:
        found.update(str(value) for name, value in pairs if name == "event_type")

    with suppress(ValueError, RecursionError):
        json.loads(body, object_pairs_hook=look)
    return found


def _masked(value: object, hint: object) -> object:
    """`value`, which should be of the annotation `hint` and may be anything."""
    hint = meaning(hint)
    if value is None:
        return None
    if hint is Unresolved or isinstance(hint, TypeVar):
        return MASK  # it may be anything
    if get_origin(hint) is Annotated:
        inner, *marks = get_args(hint)
        return MASK if _marks(marks) else _masked(value, inner)
    if (named := members(hint)) is not None:
        return _masked_members(value, hint, named)
    for argument in get_args(hint):
        value = _masked_within(value, argument, holds_it_itself=_is_transparent(get_origin(hint)))
    return value


def _is_transparent(origin: object) -> bool:
    """Whether its arguments describe the same value, as those of a union do, and not what is in it."""
    return origin is UnionType or not isinstance(origin, type)


def _masked_within(value: object, hint: object, *, holds_it_itself: bool) -> object:
    if holds_it_itself:
        return _masked(value, hint)
    if isinstance(value, list):
        return [_masked(item, hint) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        return {name: _masked(item, hint) for name, item in cast("dict[str, object]", value).items()}
    return MASK if is_marked(hint) else value


def _masked_members(value: object, hint: Any, named: Mapping[str, object]) -> object:
    if _is_model(hint, RootModel):
        return _masked(value, named["root"])
    if isinstance(value, dict):
        found = cast("dict[str, object]", value)
        return {name: _masked(item, named[name]) if name in named else item for name, item in found.items()}
    items = _items(value)
    if 0 < len(items) <= len(places := _places(hint)):
        return [_masked(item, named[name]) for item, name in zip(items, places, strict=False)]
    # What is no object may be the secret itself in the wrong place.
    return MASK if value != MASK and is_marked(hint) else value


def _items(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _places(hint: object) -> Sequence[str]:
    """The names of a NamedTuple's members in their order, for it is a list in JSON; none of anything else."""
    owner: object = get_origin(hint) or hint
    names: Sequence[str] = getattr(owner, "_fields", ())
    return names if _is_model(owner, tuple) else ()


def _is_model(hint: object, kind: type[object]) -> bool:
    return isinstance(hint, type) and issubclass(hint, kind)


def _marks(metadata: Sequence[object]) -> bool:
    return any(mark is Secret or isinstance(mark, Secret) for mark in metadata)
