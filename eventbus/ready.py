"""A result that is there already, where one is awaited."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any, Never, TypeVar

T_co = TypeVar("T_co", covariant=True)


class Ready(Coroutine[Any, Any, T_co]):
    """To be awaited, or made a task of; and nothing is missing where nobody does."""

    __slots__ = ("_result",)

    def __init__(self, result: T_co) -> None:
        self._result = result

    def __await__(self) -> Generator[Any, Any, T_co]:
        return self._result
        yield  # makes it a generator, which ends at once

    def send(self, _: Any, /) -> Never:
        raise StopIteration(self._result)

    def throw(self, error: type[BaseException] | BaseException, /, *_: Any) -> Never:
        raise error

    def close(self) -> None:
        """There is nothing to end."""
