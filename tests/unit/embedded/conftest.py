"""Transports on ":memory:" and on a file, opened for one test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import pytest
import pytest_asyncio

from eventbus.clock import Clock, SystemClock
from eventbus.embedded import EmbeddedOptions, EmbeddedTransport


class OpenTransport(Protocol):
    async def __call__(
        self, path: str | Path = ..., options: EmbeddedOptions = ..., clock: Clock = ...
    ) -> EmbeddedTransport: ...


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a file that does not exist yet."""
    return tmp_path / "events.db"


@pytest_asyncio.fixture
async def open_transport() -> AsyncIterator[OpenTransport]:
    """Opens transports, and closes them at the end of the test."""
    async with AsyncExitStack() as stack:

        async def open_transport(
            path: str | Path = ":memory:",
            options: EmbeddedOptions = EmbeddedOptions(),  # noqa: B008  it is frozen
            clock: Clock = SystemClock(),  # noqa: B008  it has no state
        ) -> EmbeddedTransport:
            transport = EmbeddedTransport(str(path), options, clock)
            await transport.open()
            stack.push_async_callback(transport.close)
            return transport

        yield open_transport
