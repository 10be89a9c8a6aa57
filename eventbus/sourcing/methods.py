"""Methods that say by an annotation which class of event they are for."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from eventbus.errors import ConfigurationError
from eventbus.event import Event

Method = TypeVar("Method", bound=Callable[..., Any])


def marked(method: Method, mark: str) -> Method:
    vars(method)[mark] = True
    return method


def methods_of(
    owner: type, mark: str, event_of: Callable[[object], object], right: str
) -> Mapping[type[Event], Callable[..., Any]]:
    """The marked methods of a class and what it inherits, by their events; one for each event type.

    `event_of`: the class in the annotation of the first parameter. Raises `ConfigurationError`; `right` shows
    how a method is written.
    """
    written = {name: value for kind in reversed(owner.__mro__) for name, value in vars(kind).items()}
    found: dict[type[Event], Callable[..., Any]] = {}
    for name, method in written.items():
        if not callable(method) or mark not in getattr(method, "__dict__", {}):
            continue
        event = _event(owner, method, event_of, right)
        for other, first in found.items():
            if other.__event_type__ == event.__event_type__:
                raise ConfigurationError(
                    f"{owner.__qualname__}: {first.__name__} and {name} are both for "
                    f"{event.__event_type__}. Keep the one for the newest version; upcasters read the others."
                )
        found[event] = method
    return found


def _event(
    owner: type, method: Callable[..., Any], event_of: Callable[[object], object], right: str
) -> type[Event]:
    where = f"{owner.__qualname__}.{method.__name__}"
    try:
        hints = typing.get_type_hints(method)
    except NameError as error:
        raise ConfigurationError(
            f"{where}: {error}. Define and import the classes at module level, before it."
        ) from None
    event = event_of(next(iter(hints.values()), None))
    if not (isinstance(event, type) and issubclass(event, Event) and event.__event_type__):
        raise ConfigurationError(f"{where}: write it as {right}.")
    return event
