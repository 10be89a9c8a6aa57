"""Opening creates what is missing once, whoever comes first; what hangs is told within a bound."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from eventbus.errors import EventBusError
from eventbus.store import Claim, StoreUnavailable
from tests.conformance.sizes import PATIENCE
from tests.conformance.store import drive
from tests.conformance.store.kinds import SHARED, Place, quick
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

HangingPlace = tuple[Place, "Callable[[], AbstractAsyncContextManager[None]]"]


@SHARED
async def test_four_processes_that_open_at_once_all_succeed(place: Place, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        processes = [
            await stack.enter_async_context(place.process("open", log=tmp_path / f"log-{number}"))
            for number in range(4)
        ]
        for process in processes:
            await process.says("open", within=PATIENCE * 2)

    async with place.opened() as store:
        assert await drive.claim(store, drive.a_key()) == [Claim.OURS]


async def test_a_store_can_be_closed_twice(place: Place) -> None:
    async with place.opened() as store:
        await store.close()


async def test_a_store_that_hangs_is_unavailable_within_its_bound(hanging_place: HangingPlace) -> None:
    place, hang = hanging_place
    async with place.opened():
        pass  # it is created, which may take longer than is bearable below
    options = quick(timeout=0.5, lease=30.0)
    async with AsyncExitStack() as stack:
        store = await eventually(
            lambda: stack.enter_async_context(place.opened(options)), despite=EventBusError, within=PATIENCE
        )
        async with hang():
            began = time.monotonic()
            with pytest.raises(StoreUnavailable):
                await store.inbox.exchange(claim=[drive.a_key()])
            assert store.outbox is None or await _refuses(store.outbox)
            assert time.monotonic() - began < PATIENCE

        assert await asyncio.wait_for(_claimed(store), PATIENCE) == [Claim.OURS]


async def _refuses(outbox: object) -> bool:
    with pytest.raises(StoreUnavailable):
        await drive.put(outbox, drive.a_message())  # type: ignore[arg-type]
    return True


async def _claimed(store: object) -> list[Claim]:
    """As the port says, asking again is always right."""
    while True:
        try:
            return await drive.claim(store, drive.a_key())  # type: ignore[arg-type]
        except StoreUnavailable:
            await asyncio.sleep(0.1)


async def test_opening_a_store_that_hangs_fails_within_its_bound(hanging_place: HangingPlace) -> None:
    place, hang = hanging_place
    async with place.opened():
        pass
    async with hang():
        began = time.monotonic()
        with pytest.raises(Exception) as failed:  # noqa: PT011  the transport's own error where it is first
            async with place.opened(quick(timeout=0.5)):
                pass
        assert time.monotonic() - began < PATIENCE
        assert isinstance(failed.value, StoreUnavailable) or place.kind == "embedded"


async def test_the_address_shows_no_secrets(place: Place) -> None:
    async with place.opened() as store:
        assert "@" not in store.url or ":" not in store.url.split("://", 1)[1].split("@", 1)[0]
