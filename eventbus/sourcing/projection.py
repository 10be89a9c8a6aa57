"""Projections: views of all streams, in tables of the user's own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final, TypeVar, get_args, get_origin

from eventbus.errors import ConfigurationError
from eventbus.event import Event
from eventbus.sourcing.methods import marked, methods_of
from eventbus.sourcing.recorded import Recorded
from eventbus.store import Transaction

P = TypeVar("P", bound="Projection")
E = TypeVar("E", bound=Event)

_MARK: Final = "__eventbus_projects__"
_MAX_NAME: Final = 190
_RIGHT: Final = (
    "async def on_deposited(self, recorded: Recorded[Deposited], transaction: Transaction) -> None"
)


def projects(
    method: Callable[[P, Recorded[E], Transaction], Awaitable[None]],
) -> Callable[[P, Recorded[E], Transaction], Awaitable[None]]:
    """Mark a method of a projection as the one that puts events of the annotated class into its table."""
    return marked(method, _MARK)


class Projection:
    """A view that follows all streams:

        class Balances(Projection, name="balances"):
            @projects
            async def on_deposited(self, recorded: Recorded[Deposited], transaction: Transaction) -> None:
                await transaction.execute("UPDATE …", …)

            async def reset(self, transaction: Transaction) -> None:
                await transaction.execute("DELETE FROM balance")

    Its position in the order of all streams is committed together with what it writes by the transaction, so
    that each event is in its table once, whatever crashes. Events that no method is for are passed over.
    `name`: which position is its own; every process that runs it uses the same.
    """

    __projection__: ClassVar[str] = ""
    __projects__: ClassVar[Mapping[type[Event], Callable[..., Awaitable[None]]]] = {}

    def __init_subclass__(cls, *, name: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if name and not (len(name) <= _MAX_NAME and name.isascii() and name.isprintable()):
            raise ConfigurationError(
                f"class {cls.__qualname__}: name={name!r} must be {_MAX_NAME} printable ASCII characters "
                "at most."
            )
        cls.__projection__ = name
        cls.__projects__ = MappingProxyType(methods_of(cls, _MARK, _recorded_of, _RIGHT))

    async def reset(self, transaction: Transaction) -> None:  # noqa: ARG002  for those who override it
        """Empty the table: a rebuild begins. The projection is at position 0 when the transaction commits."""
        raise ConfigurationError(
            f"{type(self).__qualname__} cannot be rebuilt: write its `async def reset(self, transaction)`."
        )


def _recorded_of(hint: object) -> object:
    return get_args(hint)[0] if get_origin(hint) is Recorded else None
