"""Asking a process to stop: by signals."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

from eventbus.errors import EventBusError


@contextmanager
def on_signals(stop: asyncio.Event, hurry: Callable[[], None]) -> Generator[None]:
    """SIGTERM and SIGINT: the first sets `stop`, every further one hurries.

    Raises `EventBusError` in a thread, which no signal comes to.
    """
    if threading.current_thread() is not threading.main_thread():
        raise EventBusError("signals come to the main thread only: here use `async with bus.running(…):`")
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)
    for each in signals:
        loop.add_signal_handler(each, lambda: hurry() if stop.is_set() else stop.set())
    try:
        yield
    finally:
        for each in signals:
            loop.remove_signal_handler(each)
