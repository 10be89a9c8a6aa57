"""What is copied is kept once, together with how far the copy has come."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from eventbus.archive import ArchiveEnd, ArchiveMoved
from tests.conformance.archive import drive
from tests.conformance.archive.program import AT_ONCE
from tests.conformance.sizes import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

    from eventbus.archive import Archive
    from tests.conformance.archive.kinds import Place


async def test_an_archive_that_is_new_has_come_nowhere(archive: Archive) -> None:
    assert await archive.end() == ArchiveEnd(0, None)
    assert await archive.read(0, limit=10) == []


async def test_the_place_in_the_log_is_kept_with_what_was_copied(archive: Archive, other: Archive) -> None:
    assert await archive.append(drive.some_entries(3), expected=None, next_offset=7) == 3
    assert await other.end() == ArchiveEnd(3, 7)

    assert await other.append(drive.some_entries(2), expected=7, next_offset=20) == 2
    assert await archive.end() == ArchiveEnd(5, 20)


async def test_the_place_moves_also_where_nothing_is_kept(archive: Archive) -> None:
    assert await archive.append([], expected=None, next_offset=40) == 0

    assert await archive.end() == ArchiveEnd(0, 40)


@pytest.mark.parametrize("expected", [None, 6, 8])
async def test_nothing_is_written_where_the_archive_has_come_elsewhere(
    archive: Archive, expected: int | None
) -> None:
    await archive.append(drive.some_entries(1), expected=None, next_offset=7)

    with pytest.raises(ArchiveMoved, match=f"to offset 7 of the log, and not to {expected}") as moved:
        await archive.append(drive.some_entries(1), expected=expected, next_offset=9)

    assert (moved.value.actual, moved.value.expected) == (7, expected)
    assert await archive.end() == ArchiveEnd(1, 7)
    assert len(await drive.read_all(archive)) == 1


async def test_what_is_copied_again_is_kept_once(archive: Archive) -> None:
    entries = drive.some_entries(3)
    await drive.append(archive, *entries)

    more = drive.an_entry()
    assert await drive.append(archive, *entries, more) == 1

    assert drive.ids(await drive.read_all(archive)) == drive.ids([*entries, more])
    assert [entry.number for entry in await drive.read_all(archive)] == [1, 2, 3, 4]


async def test_an_identity_is_kept_once_whatever_its_month_and_its_batch(archive: Archive) -> None:
    first = drive.an_entry("evt_twice", drive.NOVEMBER)
    again = drive.an_entry("evt_twice", drive.DECEMBER)
    third = drive.an_entry("evt_third", drive.DECEMBER)
    await drive.append(archive, first)

    assert await drive.append(archive, again, third, third) == 1

    kept = await drive.read_all(archive)
    assert [(entry.message.event_id, entry.occurred_at) for entry in kept] == [
        ("evt_twice", drive.NOVEMBER),
        ("evt_third", drive.DECEMBER),
    ]


async def test_identities_of_all_characters_are_told_apart(archive: Archive) -> None:
    odd = [drive.an_entry(name) for name in ("", "a", "A", "ä", "a'b", "{month}", "a\0b", "\ud800", "🐇")]

    assert await drive.append(archive, *odd) == len(odd)
    assert await drive.append(archive, *odd) == 0
    assert len(await drive.read_all(archive)) == len(odd)


async def test_of_two_that_copy_at_once_one_is_refused(archive: Archive, other: Archive) -> None:
    async def copy(there: Archive) -> int:
        refused = 0
        for place in range(10):
            try:
                await there.append(
                    [drive.an_entry(f"evt_{place}")], expected=place or None, next_offset=place + 1
                )
            except ArchiveMoved:
                refused += 1
        return refused

    refused = await asyncio.wait_for(asyncio.gather(copy(archive), copy(other)), PATIENCE)

    assert sum(refused) >= 10
    kept = len(await drive.read_all(archive))
    assert await archive.end() == ArchiveEnd(kept, kept)


async def test_a_copy_that_was_killed_has_kept_what_its_place_says_and_no_more(
    place: Place, archive: Archive, tmp_path: Path
) -> None:
    async with place.process("copy", log=tmp_path / "log") as process:
        await process.says_lines(3, within=PATIENCE)
        await process.kill()

    end, kept = await archive.end(), await drive.read_all(archive)
    assert end == ArchiveEnd(len(kept), len(kept))
    assert len(kept) >= 3 * AT_ONCE
    assert [entry.number for entry in kept] == list(range(1, len(kept) + 1))
