"""What functions of every make say about their parameters: methods, partials, classes, decorated ones."""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any


class CannotRead(ValueError):
    """A signature or an annotation that gives nothing to work with; the message says why."""


def parameters_of(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Those that are still to be filled; raises `CannotRead`."""
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise CannotRead(f"{name_of(function)} has no signature: {error}") from None


def hints_of(function: Callable[..., Any], known: Mapping[str, object]) -> dict[str, Any]:
    """Its parameters' annotations, evaluated where it was written; raises `CannotRead`.

    `known`: classes that are found by their names even when they are local to some function.
    """
    written = as_written(function)
    local = {**known, **_enclosed(written)}
    try:
        # A shell with only these annotations: "return" may name what type checkers alone know.
        shell = types.FunctionType((lambda: None).__code__, getattr(written, "__globals__", {}))
        shell.__annotations__ = {name: hint for name, hint in _raw_hints(written).items() if name != "return"}
        return typing.get_type_hints(shell, localns=local, include_extras=True)
    except Exception as error:  # noqa: BLE001 -- an annotation is code of somebody's, and may fail in any way
        problem = f"an annotation of {name_of(function)} cannot be read: {error}"
        raise CannotRead(
            f"{problem}; what it names must be defined or imported at module level, not under TYPE_CHECKING"
        ) from None


def as_written(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function whose body will run."""
    function = _unwrapped(function)
    while isinstance(function, functools.partial):
        function = _unwrapped(function.func)
    if inspect.ismethod(function):
        return _unwrapped(function.__func__)
    if inspect.isclass(function):
        made_by_new = function.__init__ is object.__init__ and function.__new__ is not object.__new__
        return function.__new__ if made_by_new else function.__init__
    if inspect.isroutine(function):
        return function
    return _unwrapped(type(function).__call__)


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling it gives a coroutine: a coroutine function, or an object whose `__call__` is one."""
    call: object = getattr(function, "__call__", None)  # noqa: B004 -- the method itself is asked
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)


def name_of(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", repr(function))


def _enclosed(function: Callable[..., Any]) -> dict[str, object]:
    """The variables of the functions around it, as far as they have a value yet."""
    if not inspect.isfunction(function):
        return {}
    found: dict[str, object] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # an empty cell: assigned further down
            found[name] = cell.cell_contents
    return found


def _unwrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """Without decorators that have used `functools.wraps`."""
    innermost: Callable[..., Any] = inspect.unwrap(function)
    return innermost


def _raw_hints(function: Callable[..., Any]) -> dict[str, Any]:
    if sys.version_info >= (3, 14):
        import annotationlib

        return annotationlib.get_annotations(function, format=annotationlib.Format.FORWARDREF)
    return getattr(function, "__annotations__", {})
