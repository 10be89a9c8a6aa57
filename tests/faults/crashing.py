"""Ending a process at a named point: a method of the program, before or after which it is as if killed."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from typing import Any, TypeAlias

Point: TypeAlias = "tuple[type, str, str]"
"""The class, its method, and `before` or `after`."""


def end_at(point: Point, *, call: int) -> None:
    """From now on the process ends when it comes there for the so-manieth time."""
    owner, name, when = point
    reached: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def meet(moment: str) -> None:
        nonlocal calls
        if moment == when:
            calls += 1
            if calls == call:
                os._exit(9)

    @functools.wraps(reached)
    async def on_the_loop(*arguments: Any, **named: Any) -> Any:
        meet("before")
        answer = await reached(*arguments, **named)
        meet("after")
        return answer

    @functools.wraps(reached)
    def at_once(*arguments: Any, **named: Any) -> Any:
        meet("before")
        answer = reached(*arguments, **named)
        meet("after")
        return answer

    ending = on_the_loop if inspect.iscoroutinefunction(reached) else at_once
    is_static = isinstance(inspect.getattr_static(owner, name), staticmethod)
    setattr(owner, name, staticmethod(ending) if is_static else ending)
