"""Opening creates what is missing once; what hangs is told within a bound."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from eventbus.archive import ArchiveEnd
from eventbus.archives.opening import archive_for
from eventbus.store import StoreUnavailable
from tests.conformance.archive import drive
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from eventbus.archive import Archive
    from tests.conformance.archive.kinds import Place


async def test_four_that_open_at_once_all_succeed(place: Place) -> None:
    async with AsyncExitStack() as stack:
        archives = await asyncio.gather(*(stack.enter_async_context(place.opened()) for _ in range(4)))
        await drive.append(archives[0], drive.an_entry())
        assert [(await archive.end()).number for archive in archives] == [1] * 4


async def test_an_archive_opened_again_has_what_it_had(place: Place) -> None:
    async with place.opened() as before:
        await before.append([drive.an_entry("evt_1")], expected=None, next_offset=4)

    async with place.opened() as after:
        assert await after.end() == ArchiveEnd(1, 4)
        assert drive.ids(await drive.read_all(after)) == ["evt_1"]


async def test_an_archive_can_be_opened_and_closed_twice(archive: Archive) -> None:
    await archive.open()
    await drive.append(archive, drive.an_entry())
    await archive.close()
    await archive.close()

    with pytest.raises(StoreUnavailable, match="it is not open"):
        await archive.end()


async def test_an_archive_that_hangs_is_unavailable_within_its_bound(
    hanging_place: tuple[Place, Callable[[], AbstractAsyncContextManager[None]]],
) -> None:
    place, hang = hanging_place
    async with place.opened() as whole:
        await drive.append(whole, drive.an_entry("evt_1"))
    async with AsyncExitStack() as stack:
        archive = await eventually(
            lambda: stack.enter_async_context(place.opened(timeout=0.5)), despite=StoreUnavailable, within=30
        )
        entry = drive.an_entry("evt_2")
        async with hang():
            began = time.monotonic()
            with pytest.raises(StoreUnavailable, match=r"the archive at .* is not available"):
                await archive.append([entry], expected=1, next_offset=2)
            assert time.monotonic() - began < 10

    async with place.opened() as again:
        # What was refused may have been taken all the same; asking again is right.
        if (await again.end()).next_offset == 1:
            await again.append([entry], expected=1, next_offset=2)
        assert drive.ids(await drive.read_all(again)) == ["evt_1", "evt_2"]


async def test_the_address_shows_no_password(place: Place) -> None:
    assert "secret" not in archive_for(place.url.replace("@", ":secret@", 1)).url
