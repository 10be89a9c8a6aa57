"""The pytest plugin: the fixture `event_bus`, a TestBus that runs what `event_bus_services` says.

    @pytest.fixture
    def event_bus_services():
        return [payment, email]

    async def test_a_paid_order_is_confirmed_by_mail(event_bus):
        await event_bus.publish(OrderCreated(order_id=1, user_id=2, total=Decimal("3.00")))
        assert event_bus.published(EmailSent)

It needs pytest-asyncio; without it only this fixture fails, with a message that says so.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, cast

import pytest

if TYPE_CHECKING:
    from eventbus.service import Service
    from eventbus.testing.bus import TestBus


def _missing(function: Callable[..., object]) -> object:
    """A fixture of the same name, which says what is missing."""

    def missing() -> None:
        raise pytest.UsageError("the fixture event_bus needs pytest-asyncio: pip install pytest-asyncio")

    return pytest.fixture(name=function.__name__)(missing)


def _async_fixture() -> Callable[[Callable[..., object]], object]:
    try:
        import pytest_asyncio
    except ImportError:
        return _missing
    return cast("Callable[[Callable[..., object]], object]", pytest_asyncio.fixture)


@_async_fixture()
async def event_bus(event_bus_services: Sequence[Service]) -> AsyncIterator[TestBus]:
    """A TestBus that runs the services of the fixture `event_bus_services`."""
    from eventbus.testing.bus import TestBus  # not at start: pytest loads this file in every project

    async with TestBus(*event_bus_services) as bus:
        yield bus


@pytest.fixture
def event_bus_services() -> Sequence[Service]:
    """Override it: the services that `event_bus` runs. None by default."""
    return ()
