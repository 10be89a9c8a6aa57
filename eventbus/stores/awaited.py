"""What was asked of a transaction, until somebody awaits it."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from eventbus.store import WrongTransaction

Answer = TypeVar("Answer")


class Awaited:
    """A statement that nobody awaits is never carried out, and only Python says so, in a warning."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._waiting: dict[int, str] = {}

    def made(self, verb: str, work: Callable[[], Awaitable[Answer]]) -> Coroutine[Any, Any, Answer]:
        number = next(self._numbers)
        self._waiting[number] = verb
        return self._carried_out(number, work)

    def check(self) -> None:
        """Raises `WrongTransaction`: what else the transaction has written must not become true alone."""
        if self._waiting:
            verbs = " and ".join(sorted(set(self._waiting.values())))
            raise WrongTransaction(
                f"what its {verbs} gave was never awaited ({len(self._waiting)} of them)",
                "Await it, in an `async def` handler; a plain one can use a SQLite transaction.connection.",
            )

    async def _carried_out(self, number: int, work: Callable[[], Awaitable[Answer]]) -> Answer:
        del self._waiting[number]
        return await work()
