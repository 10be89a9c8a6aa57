"""What was copied is read in the order of the log, however many months it is kept in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from eventbus.archive import ArchivedEntry, Copied
from eventbus.transport import Message
from tests.conformance.archive import drive
from tests.conformance.archive.drive import DAY, DECEMBER, NOVEMBER

if TYPE_CHECKING:
    from eventbus.archive import Archive
    from tests.conformance.archive.kinds import Place


async def test_a_message_comes_back_whole(archive: Archive) -> None:
    message = Message(
        body=b'{"a": 1}\0\xff',
        routing_key="order.created",
        headers={"number": 1, "bytes": b"\0\xff", "decimal": Decimal("1.5"), "list": ["ä", {"deep": True}]},
        event_id="evt_1",
        event_type="order.created",
        content_type="application/json",
        timestamp=NOVEMBER,
        source="order",
        correlation_id="corr_1",
    )
    moment = NOVEMBER + timedelta(microseconds=123_456)
    await drive.append(archive, Copied("evt_1", message, moment, 0))

    assert await archive.read(0, limit=10) == [ArchivedEntry(1, message, moment)]


@pytest.mark.parametrize("limit", [1, 7, 100])
async def test_pages_follow_each_other_across_months_without_gap_or_double(
    archive: Archive, limit: int
) -> None:
    times = [NOVEMBER, DECEMBER, DECEMBER + 60 * DAY, NOVEMBER, NOVEMBER - 400 * DAY, DECEMBER]
    entries = [drive.an_entry(occurred_at=times[number % 6]) for number in range(30)]
    await drive.append(archive, *entries[:17])
    await drive.append(archive, *entries[17:])

    found = await drive.read_all(archive, limit=limit)

    assert drive.ids(found) == drive.ids(entries)
    assert [entry.number for entry in found] == list(range(1, 31))
    assert drive.ids(await drive.read_all(archive, limit=limit, after=19)) == drive.ids(entries[19:])
    assert await archive.read(30, limit=limit) == []


async def test_a_stretch_of_time_has_its_beginning_and_not_its_end(archive: Archive) -> None:
    days = [drive.an_entry(f"day_{number}", NOVEMBER + number * DAY) for number in range(60)]
    await drive.append(archive, *days)

    async def found(**bounds: datetime) -> list[str | None]:
        return drive.ids(await drive.read_all(archive, limit=4, **bounds))

    assert await found(since=NOVEMBER + 10 * DAY, until=NOVEMBER + 12 * DAY) == ["day_10", "day_11"]
    assert await found(since=NOVEMBER + 58 * DAY) == ["day_58", "day_59"]
    assert await found(until=NOVEMBER + timedelta(microseconds=1)) == ["day_0"]
    assert await found(since=NOVEMBER + 5 * DAY, until=NOVEMBER + 55 * DAY) == drive.ids(days[5:55])
    assert await found(since=NOVEMBER + 99 * DAY) == []
    assert await found(since=NOVEMBER + 12 * DAY, until=NOVEMBER + 10 * DAY) == []


async def test_months_are_those_of_utc(archive: Archive) -> None:
    west = timezone(timedelta(hours=-8))
    last_of_november = datetime(2026, 11, 30, 23, tzinfo=west)
    await drive.append(archive, drive.an_entry(occurred_at=last_of_november))

    (entry,) = await archive.read(0, limit=10, since=datetime(2026, 12, 1, tzinfo=UTC))
    assert entry.occurred_at == last_of_november
    assert await archive.read(0, limit=10, until=last_of_november) == []


async def test_an_absurd_time_is_kept_in_its_place_in_the_order(archive: Archive) -> None:
    absurd = [
        datetime.min.replace(tzinfo=timezone(timedelta(hours=5))),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-5))),
        datetime(1999, 12, 31, tzinfo=UTC),
        datetime(2100, 1, 1, tzinfo=UTC),
        NOVEMBER,
        datetime(1970, 1, 1, tzinfo=UTC),
    ]
    entries = [drive.an_entry(occurred_at=moment) for moment in absurd]
    await drive.append(archive, *entries)

    found = await drive.read_all(archive, limit=2)

    assert drive.ids(found) == drive.ids(entries)
    assert [entry.occurred_at for entry in found[2:]] == absurd[2:]
    assert len(await drive.read_all(archive, since=absurd[5], until=absurd[3])) == 3
    assert drive.ids(await drive.read_all(archive, since=absurd[3])) == drive.ids([entries[1], entries[3]])


async def test_an_old_month_is_dropped_at_once_and_nothing_of_it_is_copied_again(
    place: Place, archive: Archive
) -> None:
    old, new = drive.some_entries(3, NOVEMBER), drive.some_entries(2, DECEMBER)
    await drive.append(archive, *old[:2], *new, old[2])

    await place.execute("DROP TABLE {archive}_2026_11")

    assert drive.ids(await drive.read_all(archive)) == drive.ids(new)
    assert await drive.append(archive, *old, *new) == 0
    late = drive.an_entry(occurred_at=NOVEMBER)
    assert await drive.append(archive, late) == 1
    assert drive.ids(await drive.read_all(archive, limit=2)) == drive.ids([*new, late])
