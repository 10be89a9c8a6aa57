"""Asking a process to stop: signals, and what is given up for them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any


async def done_before(stop: asyncio.Event, coroutine: Coroutine[Any, Any, object]) -> bool:
    """Whether it has succeeded before `stop`; otherwise it is cancelled, and has ended. Raises its error."""
    doing, stopping = asyncio.ensure_future(coroutine), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        if not doing.done():
            doing.cancel()
            await asyncio.wait({doing})
    if not doing.cancelled():
        doing.result()
    return not doing.cancelled()


@contextmanager
def on_signals(stop: asyncio.Event, hurry: Callable[[], None]) -> Generator[None]:
    """SIGTERM and SIGINT: the first sets `stop`, every further one hurries."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)
    for each in signals:
        loop.add_signal_handler(each, lambda: hurry() if stop.is_set() else stop.set())
    try:
        yield
    finally:
        for each in signals:
            loop.remove_signal_handler(each)
