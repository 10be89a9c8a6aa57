"""A claim lasts while its process lives, however busy that is; not longer."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from eventbus.store import Claim
from tests.conformance.sizes import PATIENCE
from tests.conformance.store import drive
from tests.conformance.store.kinds import QUICK, SHARED
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from eventbus.store import Store
    from tests.conformance.store.kinds import Place


@SHARED
async def test_what_a_killed_process_had_claimed_can_be_claimed_soon(
    place: Place, store: Store, tmp_path: Path
) -> None:
    keys = drive.some_keys(3)
    async with place.process("hold", "3", log=tmp_path / "log") as process:
        await process.says("holding", within=PATIENCE)
        assert await drive.claim(store, *keys) == [Claim.HELD] * 3
        await process.kill()

    async def ours() -> bool:
        return await drive.claim(store, *keys) == [Claim.OURS] * 3

    await eventually(ours, within=PATIENCE)


@SHARED
async def test_a_claim_outlasts_its_lease_while_its_process_lives(place: Place, other: Store) -> None:
    keys = iter(drive.some_keys(20))
    async with place.opened(QUICK) as store:

        async def outlasts() -> bool:
            """With another key if not: where the whole machine stood still, nobody gave a sign of life."""
            key = next(keys)
            await drive.claim(store, key)
            await asyncio.sleep(2 * QUICK.lease)
            return await drive.claim(other, key) == [Claim.HELD]

        await eventually(outlasts, within=10)


@SHARED
async def test_a_handler_that_blocks_the_event_loop_keeps_its_claim(place: Place) -> None:
    keys = iter(drive.some_keys(20))
    async with place.opened(QUICK) as store:

        async def keeps() -> bool:
            key = next(keys)
            await drive.claim(store, key)
            time.sleep(2 * QUICK.lease)  # noqa: ASYNC251  that is the point
            async with place.opened() as other:
                return await drive.claim(other, key) == [Claim.HELD]

        await eventually(keeps, within=10)


@SHARED
async def test_a_process_taken_for_dead_learns_that_it_has_lost(
    place: Place, store: Store, tmp_path: Path
) -> None:
    key = drive.a_key()
    async with place.process("late", log=tmp_path / "log") as process:
        await process.says("holding", within=PATIENCE)
        process.freeze()

        async def ours() -> bool:
            return await drive.claim(store, key) == [Claim.OURS]

        await eventually(ours, within=PATIENCE)
        process.thaw()
        await process.says("lost 1", within=PATIENCE)

    assert await drive.claim(store, key) == [Claim.OURS]


@SHARED
async def test_a_process_frozen_for_a_while_keeps_what_nobody_else_wanted(
    place: Place, store: Store, tmp_path: Path
) -> None:
    async with place.process("late", log=tmp_path / "log") as process:
        await process.says("holding", within=PATIENCE)
        process.freeze()
        await asyncio.sleep(1.5 * QUICK.lease)
        process.thaw()
        await process.says("lost 0", within=PATIENCE)

    assert await drive.claim(store, drive.a_key()) == [Claim.HANDLED]
