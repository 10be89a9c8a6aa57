"""A bus on the embedded broker, whose store keeps how far it has been caught up."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest_asyncio

from eventbus import Bus
from tests.unit.catchup.events import SERVICE


@pytest_asyncio.fixture
async def bus(tmp_path: Path) -> AsyncGenerator[Bus]:
    async with Bus(f"sqlite:///{tmp_path / 'events.db'}", source="test") as bus:
        await bus.transport.apply(SERVICE.topology)
        yield bus
