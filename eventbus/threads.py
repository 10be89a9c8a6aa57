"""Threads for what is a plain function of the user's: handlers, above all."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_Work = tuple[Future[Any], Callable[[], Any]]


class HandlerThreads:
    """At most `most` threads, begun when they are needed.

    They are daemons, which those of the standard library's pool are not: a function that never returns cannot
    be ended, and must not keep its process from ending. Each subscription has its own, so that such functions
    take nothing from the others.
    """

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._begun = 0
        self._idle = threading.Semaphore(0)
        self._work: SimpleQueue[_Work | None] = SimpleQueue()
        self.overdue: set[Future[Any]] = set()
        """What runs on though nobody waits for it any more; each keeps one of the threads."""

    def submit(self, call: Callable[[], R]) -> Future[R]:
        """Run it in a thread; called from the event loop's thread only."""
        future: Future[R] = Future()
        self._work.put((future, call))
        if not self._idle.acquire(blocking=False) and self._begun < self._most:
            self._begun += 1
            name = f"{self._name}-{self._begun}"
            try:
                threading.Thread(target=self._run, name=name, daemon=True).start()
            except BaseException:  # too many threads: whoever asked hears of it, and asks again
                self._begun -= 1
                future.cancel()
                raise
        return future

    async def run(self, call: Callable[[], R]) -> R:
        """In a thread. When this is cancelled, a call that has begun runs on, and is `overdue`."""
        future = self.submit(call)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if future.running():
                self.overdue.add(future)
            raise

    def stop(self) -> None:
        """Begin nothing more; what runs, runs on, and nobody waits for it."""
        while True:
            try:
                work = self._work.get_nowait()
            except Empty:
                break
            if work is not None:
                work[0].cancel()
        self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            future, call = work
            if future.set_running_or_notify_cancel():
                _fulfil(future, call)
            del work, future, call  # an idle thread keeps no event alive
            self._idle.release()
        self._work.put(None)  # for the next thread


async def end_of(future: Future[Any]) -> None:
    """Return when it has ended, however."""
    ended, loop = asyncio.Event(), asyncio.get_running_loop()

    def tell(_: Future[Any]) -> None:
        with suppress(RuntimeError):  # the loop has ended before it
            loop.call_soon_threadsafe(ended.set)

    future.add_done_callback(tell)
    await ended.wait()


async def call_in(
    threads: HandlerThreads | None, function: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs
) -> Any:
    """What a plain function returns that runs in a thread and in this context.

    Of None it is one of the event loop's own threads. What it returns is awaited where it can be, for a
    decorator may hide a coroutine function.
    """
    call = functools.partial(_without_stop, functools.partial(function, *args, **kwargs))
    in_context = functools.partial(contextvars.copy_context().run, call)
    if threads is None:
        result: object = await asyncio.get_running_loop().run_in_executor(None, in_context)
    else:
        result = await threads.run(in_context)
    return await result if inspect.isawaitable(result) else result


def _without_stop(call: functools.partial[R]) -> R:
    try:
        return call()
    except StopIteration as error:  # until Python 3.12 no future takes it, and who awaits it would hang
        name = getattr(call.func, "__qualname__", type(call.func).__qualname__)
        raise RuntimeError(f"{name} raised StopIteration") from error


def _fulfil(future: Future[Any], call: Callable[[], Any]) -> None:
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 -- it belongs to whoever awaits the future
        future.set_exception(error)
    else:
        future.set_result(result)
