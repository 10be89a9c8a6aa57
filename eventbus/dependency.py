"""`Annotated[Gateway, Depends(open_gateway)]`: what a handler needs, made per service or per delivery."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Literal, Self, cast

from eventbus.annotations import name_of
from eventbus.context import Context

LONGEST_MAKING: Final = 60.0
"""Seconds until a factory of the service counts as hung; the deliveries that waited for it are retried."""

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
class InTransaction:
    """`Annotated[AsyncSession, InTransaction(make_session)]`: it runs in a transaction of that.

    `make_session` is an `async_sessionmaker` of SQLAlchemy 2, to the database that is the bus's store.
    """

    make_session: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """How to fill parameters, compiled once: those for the Context, for the transaction, and to be made."""

    contexts: tuple[str, ...] = ()
    transactions: tuple[str, ...] = ()
    depends: Mapping[str, Recipe] = field(default_factory=dict[str, "Recipe"])


@dataclass(frozen=True, slots=True, eq=False)
class Recipe:
    """One factory and how to fill its own parameters."""

    depends: Depends
    plan: Plan


Arguments = Callable[[Plan], Awaitable[dict[str, Any]]]
"""Fills the parameters of a factory."""


class Lifetime:
    """The objects of one delivery: each made at most once, all of them cleaned up in reverse by `close`."""

    def __init__(self) -> None:
        self._made: dict[Callable[..., Any], Any] = {}
        self._cleanup = AsyncExitStack()

    async def get(self, recipe: Recipe, arguments: Arguments) -> Any:
        factory = recipe.depends.factory
        if factory not in self._made:
            self._made[factory] = await self._make(recipe, arguments)
        return self._made[factory]

    async def close(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        """Every generator sees the error, and none can hide it from those that were made before it."""
        await self._cleanup.__aexit__(kind, error, trace)

    async def _make(self, recipe: Recipe, arguments: Arguments) -> Any:
        factory = recipe.depends.factory
        made = factory(**await arguments(recipe.plan))
        if (open_until_close := _async_context(factory, made)) is not None:
            held = await open_until_close.__aenter__()
            self._cleanup.push_async_exit(functools.partial(_leave, open_until_close))
            return held
        if (held_until_close := _context(factory, made)) is not None:
            held = held_until_close.__enter__()
            self._cleanup.push(functools.partial(_let_go, held_until_close))
            return held
        return await made if inspect.isawaitable(made) else made


class SharedLifetime(Lifetime):
    """The objects of a service: many deliveries ask at the same time, and one of them makes."""

    def __init__(self) -> None:
        super().__init__()
        self._making: dict[Callable[..., Any], asyncio.Task[None]] = {}

    async def get(self, recipe: Recipe, arguments: Arguments) -> Any:
        """The object, made for the first who asks; the others wait for it. A failed factory is tried anew.

        The making goes on without those who wait: what takes longer than they may is there for the next.
        """
        factory = recipe.depends.factory
        if factory not in self._made:
            making = self._making.get(factory) or self._begin(recipe, arguments)
            try:
                await asyncio.shield(making)
            except asyncio.CancelledError:
                raise CancelledWaiting(name_of(factory)) from None
        return self._made[factory]

    async def close(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        making = list(self._making.values())
        for task in making:
            task.cancel()
        await asyncio.gather(*making, return_exceptions=True)
        await super().close(kind, error, trace)

    def _begin(self, recipe: Recipe, arguments: Arguments) -> asyncio.Task[None]:
        """If it fails when nobody waits any more, asyncio logs why."""
        factory = recipe.depends.factory

        async def make() -> None:
            limit = asyncio.timeout(LONGEST_MAKING)
            try:
                async with limit:
                    self._made[factory] = await self._make(recipe, arguments)
            except TimeoutError:
                if limit.expired():
                    problem = f"{name_of(factory)} has made nothing within {LONGEST_MAKING:g} s"
                    raise TimeoutError(problem) from None
                raise
            finally:
                self._making.pop(factory, None)

        making = asyncio.create_task(make())
        if not making.done():  # as an eager one may be
            self._making[factory] = making
        return making


class CancelledWaiting(asyncio.CancelledError):
    """Whoever waited for what this factory makes was cancelled."""

    def __init__(self, factory: str) -> None:
        self.factory = factory
        super().__init__()


def _async_context(factory: Callable[..., Any], made: Any) -> AbstractAsyncContextManager[Any] | None:
    """What an asynchronous generator made, to be entered; also of one that was given as a context manager."""
    if not _yields(inspect.isasyncgenfunction, factory):
        return None
    if isinstance(made, AsyncGenerator):
        generator = cast("AsyncGenerator[Any]", made)
        return asynccontextmanager(lambda: generator)()
    return cast("Any", made) if isinstance(made, AbstractAsyncContextManager) else None


def _context(factory: Callable[..., Any], made: Any) -> AbstractContextManager[Any] | None:
    """The same of a generator."""
    if not _yields(inspect.isgeneratorfunction, factory):
        return None
    if isinstance(made, Generator):
        generator = cast("Generator[Any]", made)
        return contextmanager(lambda: generator)()
    return cast("Any", made) if isinstance(made, AbstractContextManager) else None


def _yields(is_kind: Callable[[object], bool], factory: Callable[..., Any]) -> bool:
    """Whether it is such a generator: itself, under its decorators, or as an object that is called.

    What only happens to be a context manager, as many a client is, is nobody's to enter.
    """
    return any(is_kind(each) for each in (factory, inspect.unwrap(factory), type(factory).__call__))


async def _leave(context: AbstractAsyncContextManager[Any], *error: Any) -> None:
    await context.__aexit__(*error)


def _let_go(context: AbstractContextManager[Any], *error: Any) -> None:
    context.__exit__(*error)


def given(plan: Plan, context: Context) -> dict[str, Any]:
    """The parameters that nothing has to be made for."""
    keywords: dict[str, Any] = {}
    for name in plan.contexts:
        keywords[name] = context
    for name in plan.transactions:
        keywords[name] = context.transaction
    return keywords


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
        keywords = given(plan, self._context)
        for name, recipe in plan.depends.items():
            keywords[name] = await self._lifetime(recipe.depends.scope).get(recipe, self.fill)
        return keywords

    def _lifetime(self, scope: Scope) -> Lifetime:
        if scope == "service":
            return self._service
        self._delivery = self._delivery or Lifetime()
        return self._delivery
