"""The base class of events, and the steps between their major versions."""

from __future__ import annotations

import re
import typing
from collections.abc import Callable
from functools import lru_cache
from typing import Any, ClassVar, Final, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Secret, SecretBytes, SecretStr

from eventbus.errors import ConfigurationError, InvalidEvent
from eventbus.hints import within
from eventbus.topic import check_event_type

_VERSION: Final = re.compile(r"(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})")


class Event(BaseModel):
    """A past-tense fact, as a frozen pydantic model:

        class OrderCreated(Event, type="order.created", version="1.0"):
            order_id: int
            total: Decimal

    `type` is also the routing key. `version` is `MAJOR.MINOR`: a minor version only adds what old readers
    may ignore; a major version breaks, and has an `@upcast` from the one before. Members that a reader does
    not know are ignored; NaN and infinite numbers are refused, since JSON has none.
    """

    # "constants" makes a number that slipped into an untyped member visible to the codec, which refuses it;
    # the default would publish null in its place.
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, ser_json_inf_nan="constants")

    __event_type__: ClassVar[str] = ""
    __event_version__: ClassVar[str] = ""
    __event_major__: ClassVar[int] = 0
    __upcaster__: ClassVar[tuple[type[Event], Callable[[Any], Any]] | None] = None
    """The class of the major version before, and the step from there."""
    __event_secret__: ClassVar[str] = ""
    """The first of its fields that holds a secret, which JSON would show as asterisks."""

    def __init_subclass__(cls, *, type: str = "", version: str = "1.0", **kwargs: Any) -> None:
        """Read the class arguments; without `type` the class is only a part to build events from."""
        super().__init_subclass__(**kwargs)
        cls.__event_type__, cls.__event_version__ = "", ""
        cls.__upcaster__ = None
        if not type:
            return
        try:
            cls.__event_type__ = check_event_type(type)
            cls.__event_major__ = parse_version(version)[0]
        except InvalidEvent as error:
            raise ConfigurationError(f"class {cls.__qualname__}: {error.field} {error.problem}") from None
        cls.__event_version__ = version

    @classmethod
    def __pydantic_on_complete__(cls) -> None:
        """All annotations are known."""
        cls.__event_secret__ = next((name for name in cls.model_fields if _holds_secret(cls, name)), "")


def _holds_secret(model: type[BaseModel], name: str) -> bool:
    """Whether a pydantic Secret is anywhere in a field, also in what its aliases and classes hold."""
    return any(
        isinstance(hint, type) and issubclass(hint, (Secret, SecretStr, SecretBytes))
        for hint in within(model.model_fields[name].annotation)
    )


def parse_version(version: object) -> tuple[int, int]:
    """`"2.1"` → `(2, 1)`; raises `InvalidEvent` for anything else."""
    match = _VERSION.fullmatch(version) if isinstance(version, str) else None
    if match is None:
        raise InvalidEvent("version", "must be MAJOR.MINOR, such as '1.0'", version)
    return int(match[1]), int(match[2])


@lru_cache(maxsize=256)
def major_of(version: str) -> int:
    return parse_version(version)[0]


Old = TypeVar("Old", bound=Event)
New = TypeVar("New", bound=Event)


def upcast(step: Callable[[Old], New]) -> Callable[[Old], New]:
    """Mark a pure function as the step from one major version of an event to the next:

        @upcast
        def orders_were_in_euro(old: OrderCreatedV1) -> OrderCreated:
            return OrderCreated(**old.model_dump(), currency="EUR")

    The annotations say which. Steps are chained: with 1 → 2 and 2 → 3 a reader of version 3 reads all three.
    """
    where = f"@upcast {step.__qualname__}"
    try:
        hints = typing.get_type_hints(step)
    except NameError as error:
        raise ConfigurationError(
            f"{where}: {error}. Define the classes at module level, before it."
        ) from None
    new = hints.pop("return", None)
    old = next(iter(hints.values()), None)
    if not (_is_event(old) and _is_event(new)):
        raise ConfigurationError(f"{where}: annotate it as (old: OrderCreatedV1) -> OrderCreated.")
    _attach(where, cast("type[Event]", old), cast("type[Event]", new), step)
    return step


def _is_event(hint: object) -> bool:
    return isinstance(hint, type) and issubclass(hint, Event) and bool(hint.__event_type__)


def _attach(where: str, old: type[Event], new: type[Event], step: Callable[[Any], Any]) -> None:
    if old.__event_type__ != new.__event_type__:
        raise ConfigurationError(
            f"{where}: {old.__event_type__} and {new.__event_type__} are two event types."
        )
    if new.__event_major__ != old.__event_major__ + 1:
        raise ConfigurationError(
            f"{where}: leads from version {old.__event_version__} to {new.__event_version__}; "
            "a step leads to the next major version."
        )
    if new.__upcaster__ is not None:
        raise ConfigurationError(
            f"{where}: {new.__qualname__} has a step from {old.__event_version__} already."
        )
    new.__upcaster__ = (old, step)
