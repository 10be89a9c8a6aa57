"""Both brokers, and a bus on each whose store keeps how far replays are."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from eventbus import Bus
from eventbus.settings import Settings
from tests.support.broker import Broker


@pytest.fixture(params=["embedded", "rabbitmq"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "rabbitmq":
        return str(request.getfixturevalue("amqp_url"))
    return f"sqlite:///{tmp_path / 'events.db'}"


@pytest.fixture
def settings(request: pytest.FixtureRequest, url: str) -> Settings:
    if url.startswith("sqlite:"):
        return Settings(url=url)
    broker: Broker = request.getfixturevalue("rabbitmq")
    return Settings(url=url, management_url=broker.http_url)


@pytest_asyncio.fixture
async def bus(settings: Settings) -> AsyncGenerator[Bus]:
    async with Bus(source="test", settings=settings) as bus:
        yield bus
