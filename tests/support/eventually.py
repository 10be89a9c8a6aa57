"""Waiting for what happens elsewhere: ask again until it is so, and say what was seen when it never is.

Written `await eventually(lambda: len(handled) == 3)`. The first true answer is given back:
`queue = await eventually(find_queue, within=10)`.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, TypeVar, overload

_LAST_TRIES: Final = 5
"""When the time is over: if the machine has stood still, whoever is waited for has had none of it."""

Answer = TypeVar("Answer")
Errors: TypeAlias = type[Exception] | tuple[type[Exception], ...]


@overload
async def eventually(
    predicate: Callable[[], Awaitable[Answer]],
    *,
    within: float = ...,
    every: float = ...,
    despite: Errors = ...,
) -> Answer: ...
@overload
async def eventually(
    predicate: Callable[[], Answer],
    *,
    within: float = ...,
    every: float = ...,
    despite: Errors = ...,
) -> Answer: ...
async def eventually(
    predicate: Callable[[], object],
    *,
    within: float = 5.0,
    every: float = 0.02,
    despite: Errors = (),
) -> object:
    """The first true answer of `predicate`, which may be a coroutine function.

    Asked again after `every` seconds, or as many as an answer takes: what is waited for needs the machine.

    A failing `assert` in it counts as "not yet", and so does any error named in `despite`.
    Raises AssertionError after `within` seconds and a few last tries, also when the predicate itself hangs.
    """
    search = _Search(predicate, within, despite)
    while True:
        with search:
            answer = predicate()
            if inspect.isawaitable(answer):
                answer = await asyncio.wait_for(answer, search.patience)
            if search.found(answer):
                return answer
        await asyncio.sleep(search.pause(every))


def eventually_sync(
    predicate: Callable[[], Answer],
    *,
    within: float = 5.0,
    every: float = 0.02,
    despite: Errors = (),
) -> Answer:
    """The same for tests without an event loop."""
    search = _Search(predicate, within, despite)
    while True:
        with search:
            answer = predicate()
            if search.found(answer):
                return answer
        time.sleep(search.pause(every))


class _Search:
    """One wait: its deadline, and what the last try saw. As a context manager it is one try."""

    def __init__(
        self,
        predicate: Callable[[], object],
        within: float,
        despite: Errors,
    ) -> None:
        self._predicate = predicate
        self._within = within
        self._despite = despite
        self._deadline = time.monotonic() + within
        self._tries = 0
        self._last_tries = 0
        self._began = 0.0
        self._found = False
        self._seen = "nothing"

    @property
    def patience(self) -> float:
        """Seconds that one try may take."""
        return max(self._deadline - time.monotonic(), self._within / 10)

    def pause(self, every: float) -> float:
        """Between a try that has just ended and the next."""
        return max(every, self._within / 50 if self._last_tries else time.monotonic() - self._began)

    def found(self, answer: object) -> bool:
        self._seen = f"{answer!r:.500}"
        self._found = bool(answer)
        return self._found

    def __enter__(self) -> None:
        self._tries += 1
        self._began = time.monotonic()

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if self._found or (error is not None and not self._means_not_yet(error)):
            return False
        if error is not None:
            self._seen = f"{type(error).__name__}: {error}"
        self._last_tries += time.monotonic() >= self._deadline
        if self._last_tries == _LAST_TRIES:
            raise AssertionError(self._report()) from error
        return True

    def _means_not_yet(self, error: BaseException) -> bool:
        return isinstance(error, (AssertionError, TimeoutError, self._despite))

    def _report(self) -> str:
        return (
            f"not within {self._within:g} s, in {self._tries} tries: {_source(self._predicate)}\n"
            f"last seen: {self._seen}"
        )


def _source(predicate: Callable[[], object]) -> str:
    try:
        return inspect.getsource(predicate).strip()
    except (OSError, TypeError):  # made at run time, or a bound method of a built-in
        return repr(predicate)
