"""`Annotated[Gateway, Depends(open_gateway)]`: what a handler needs, made per service or per delivery."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

from eventbus.context import Context

Scope = Literal["service", "delivery"]


@dataclass(frozen=True, slots=True)
class Depends:
    """How to make a parameter: `factory` is a function, a coroutine function, or a generator of either kind.

    A generator yields the object once; what follows the yield cleans up: when the worker stops for scope
    `"service"`, after the handler for scope `"delivery"`. The factory may itself ask for `Depends`
    parameters and, in scope `"delivery"`, for the `Context`.
    """

    factory: Callable[..., Any]
    scope: Scope = "service"


@dataclass(frozen=True, slots=True)
class Plan:
    """How to fill parameters, compiled once: names of those that take the Context, and the others' makers."""

    contexts: tuple[str, ...] = ()
    depends: Mapping[str, Recipe] = field(default_factory=dict[str, "Recipe"])


@dataclass(frozen=True, slots=True, eq=False)
class Recipe:
    """One factory and how to fill its own parameters."""

    depends: Depends
    plan: Plan


class Lifetime:
    """The objects of one scope: each made at most once, all of them cleaned up in reverse by `close`."""

    def __init__(self) -> None:
        self._made: dict[Callable[..., Any], asyncio.Future[Any]] = {}
        self._cleanup = AsyncExitStack()

    async def get(self, recipe: Recipe, arguments: Callable[[Plan], Awaitable[dict[str, Any]]]) -> Any:
        """The object, made by the first who asks; the others wait for it. A failed factory is tried anew."""
        factory = recipe.depends.factory
        if (made := self._made.get(factory)) is None:
            made = self._made[factory] = asyncio.ensure_future(self._make(recipe, arguments))
            made.add_done_callback(lambda done: self._forget_failure(factory, done))
        return await asyncio.shield(made)

    async def close(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        await self._cleanup.__aexit__(kind, error, trace)

    async def _make(self, recipe: Recipe, arguments: Callable[[Plan], Awaitable[dict[str, Any]]]) -> Any:
        factory = recipe.depends.factory
        keywords = await arguments(recipe.plan)
        if inspect.isasyncgenfunction(factory):
            return await self._cleanup.enter_async_context(asynccontextmanager(factory)(**keywords))
        if inspect.isgeneratorfunction(factory):
            return self._cleanup.enter_context(contextmanager(factory)(**keywords))
        made = factory(**keywords)
        return await made if inspect.isawaitable(made) else made

    def _forget_failure(self, factory: Callable[..., Any], done: asyncio.Future[Any]) -> None:
        if done.cancelled() or done.exception() is not None:
            self._made.pop(factory, None)


class Needs:
    """Fills the parameters of one handler run: `async with Needs(…) as needs: await needs.fill(plan)`."""

    def __init__(self, service: Lifetime, context: Context) -> None:
        self._service = service
        self._context = context
        self._delivery: Lifetime | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Clean up what was made for this delivery; generators see the handler's error and cannot hide it."""
        if self._delivery is not None:
            await self._delivery.close(kind, error, trace)

    async def fill(self, plan: Plan) -> dict[str, Any]:
        keywords: dict[str, Any] = dict.fromkeys(plan.contexts, self._context)
        for name, recipe in plan.depends.items():
            keywords[name] = await self._lifetime(recipe.depends.scope).get(recipe, self.fill)
        return keywords

    def _lifetime(self, scope: Scope) -> Lifetime:
        if scope == "service":
            return self._service
        self._delivery = self._delivery or Lifetime()
        return self._delivery
