"""Aggregates: one thing whose state is what its events come to."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Final, TypeVar

from pydantic import BaseModel, ConfigDict, PrivateAttr

from eventbus.errors import ConfigurationError, shorten
from eventbus.event import Event
from eventbus.sourcing.errors import UnappliedEvent
from eventbus.sourcing.methods import marked, methods_of

A = TypeVar("A", bound="Aggregate")
E = TypeVar("E", bound=Event)

_MARK: Final = "__eventbus_applies__"
_STREAM: Final = re.compile(r"[a-z][a-z0-9_.]{0,99}")
_RIGHT: Final = "def on_deposited(self, event: Deposited) -> None"


def applies(method: Callable[[A, E], None]) -> Callable[[A, E], None]:
    """Mark a method of an aggregate as the one that changes its state by an event of the annotated class.

    It must not decide or refuse anything: what has happened has happened.
    """
    return marked(method, _MARK)


class Aggregate(BaseModel):
    """The state of one thing, as a pydantic model; the defaults of its fields are the beginning:

        class Account(Aggregate, stream="account"):
            balance: Decimal = Decimal(0)

            def deposit(self, amount: Decimal) -> None:
                if amount <= 0:
                    raise ValueError("a deposit is more than nothing")
                self.record(Deposited(amount=amount))

            @applies
            def on_deposited(self, event: Deposited) -> None:
                self.balance += event.amount

    `stream`: lower-case; the events of account 42 are in the stream `account-42`. `revision`: raise it when
    a method applies an event differently than before, so that older snapshots are not used any more; a
    change of the fields is noticed without that. Without `stream` the class is only a part to build from.
    """

    model_config = ConfigDict(extra="forbid")

    __stream__: ClassVar[str] = ""
    __revision__: ClassVar[int] = 1
    __applies__: ClassVar[Mapping[type[Event], Callable[..., Any]]] = {}

    id: str

    _version: int = PrivateAttr(default=0)
    _pending: list[Event] = PrivateAttr(default_factory=list[Event])

    def __init_subclass__(cls, *, stream: str = "", revision: int = 1, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if stream and _STREAM.fullmatch(stream) is None:
            raise ConfigurationError(
                f"class {cls.__qualname__}: stream={shorten(stream)!r} must be lower-case letters, digits, _ "
                "and . beginning with a letter, 100 at most."
            )
        cls.__stream__, cls.__revision__ = stream, revision
        cls.__applies__ = MappingProxyType(methods_of(cls, _MARK, lambda hint: hint, _RIGHT))

    @property
    def stream(self) -> str:
        """The name of its stream."""
        return stream_of(type(self), self.id)

    @property
    def version(self) -> int:
        """Of the stream it was loaded from or saved to; 0 for a new one. What is pending does not count."""
        return self._version

    @property
    def pending(self) -> Sequence[Event]:
        """What was recorded and is not saved yet."""
        return tuple(self._pending)

    def record(self, event: Event) -> None:
        """This happens now: it changes the state at once, and is in the stream when the aggregate is saved.

        Raises `UnappliedEvent`.
        """
        self.replay(event)
        self._pending.append(event)

    def stand_at(self, version: int, *, saved: int = 0) -> None:
        """Its stream is at this version, which has the first `saved` of what is pending. For repositories.

        What was recorded while these were on their way stays pending.
        """
        self._version = version
        del self._pending[:saved]

    def replay(self, event: Event) -> None:
        """This has happened: it changes the state, and nothing else. Raises `UnappliedEvent`."""
        apply = self.__applies__.get(type(event))
        if apply is None:
            raise UnappliedEvent(type(self).__qualname__, type(event).__qualname__)
        apply(self, event)


def stream_of(kind: type[Aggregate], id: str) -> str:
    """Of the aggregate with this id."""
    return f"{kind.__stream__}-{id}"


def check(kind: type[Aggregate], *, snapshots: bool) -> None:
    """Raises `ConfigurationError` for an aggregate that cannot be kept in a stream, or in snapshots."""
    name = kind.__qualname__
    if not kind.__stream__:
        raise ConfigurationError(f'{name}: declare `class {name}(Aggregate, stream="…")`.')
    for field, known in kind.model_fields.items():
        if field != "id" and known.is_required():
            raise ConfigurationError(f"{name}.{field} has no default: what is it before the first event?")
    own = kind.__private_attributes__.keys() - Aggregate.__private_attributes__.keys()
    hidden = sorted(own | {field for field, known in kind.model_fields.items() if known.exclude})
    if snapshots and hidden:
        raise ConfigurationError(
            f"{name}.{hidden[0]} is private or excluded, so a snapshot would lose it: make it a plain field, "
            "or use no snapshots."
        )


def snapshot_kind(kind: type[Aggregate]) -> str:
    """Names what a snapshot's state can be read as; another one where the class has other fields."""
    fields = json.dumps(kind.model_json_schema(), sort_keys=True, default=str)
    mark = hashlib.blake2b(fields.encode(), digest_size=8).hexdigest()
    return f"{kind.__qualname__}.{kind.__revision__}.{mark}"
