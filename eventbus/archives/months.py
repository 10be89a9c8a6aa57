"""The parts that an archive is kept in: one for each month, in UTC, and one for what claims an absurd time.

What an event says of its time is its publisher's word: a wrong clock must not make a part for every month of
ten thousand years.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

_EARLIEST: Final = datetime(1, 1, 2, tzinfo=UTC)
_LATEST: Final = datetime(9999, 12, 30, tzinfo=UTC)
"""A day within what a datetime can be, which is what drivers take for infinite."""

_FIRST_YEAR: Final = 2000
_END_YEAR: Final = 2100


def month_of(moment: datetime) -> str:
    """The name of its part; `moment` in UTC."""
    if moment.year < _FIRST_YEAR:
        return f"before_{_FIRST_YEAR}"
    if moment.year >= _END_YEAR:
        return f"from_{_END_YEAR}"
    return f"{moment.year}_{moment.month:02}"


def span(month: str) -> tuple[datetime | None, datetime | None]:
    """When the part of this name begins, and when the next one does; None: nothing comes before, or after."""
    match month.split("_"):
        case "before", year:
            return None, _first_day(int(year), 1)
        case "from", year:
            return _first_day(int(year), 1), None
        case year, number:
            next_year, following = divmod(int(year) * 12 + int(number), 12)
            return _first_day(int(year), int(number)), _first_day(next_year, following + 1)
        case _:
            raise ValueError(month)


def in_bounds(moment: datetime) -> datetime:
    """In UTC, and such that every database can hold it."""
    try:
        return min(max(moment.astimezone(UTC), _EARLIEST), _LATEST)
    except OverflowError:
        return _EARLIEST if moment.year == 1 else _LATEST


def stretch(since: datetime | None, until: datetime | None) -> tuple[datetime, datetime]:
    """Where a stretch of time begins, and where it is over; None: whatever is kept."""
    return (
        _EARLIEST if since is None else in_bounds(since),
        _LATEST + timedelta(days=1) if until is None else in_bounds(until),
    )


def _first_day(year: int, month: int) -> datetime:
    return datetime(year, month, 1, tzinfo=UTC)
