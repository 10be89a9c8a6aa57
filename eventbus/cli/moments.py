"""How times and ages are written on a command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import click

_UNITS: Final = {"": "seconds", "s": "seconds", "m": "minutes", "min": "minutes", "h": "hours", "d": "days"}
_AGE: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(s|m|min|h|d|)")
_BARE: Final = re.compile(r"[0-9]+(?:\.[0-9]*)?")
_DAY: Final = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")


class Age(click.ParamType[timedelta]):
    """`90`, `90s`, `15m`, `2h`, `3d`. Not `20260215`: that is a day, and no number of seconds."""

    name = "age"

    def convert(
        self, value: str | timedelta, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        if isinstance(value, timedelta):
            return value
        if (found := _AGE.fullmatch(value)) is None or _DAY.fullmatch(value):
            self.fail(f"{value!r} is no age: write 90s, 15m, 2h or 3d", param, ctx)
        return timedelta(**{_UNITS[found[2]]: float(found[1])})


class Moment(click.ParamType[datetime]):
    """`2026-02-15`, `2026-02-15T10:00:00Z`, or as long ago as an `Age` with a unit says. UTC where it names
    no zone. A bare number is refused: 2026 may be a year, 20260215 a day, and either a number of seconds.
    """

    name = "time"

    def convert(
        self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        if isinstance(value, datetime):
            return value
        if _BARE.fullmatch(value) is not None:
            date, age = _as_date(value), f"{value}s" if _AGE.fullmatch(value) else "3d"
            self.fail(f"{value!r} has no unit: write {date} for a date, {age} for an age", param, ctx)
        if _AGE.fullmatch(value) is not None:
            return ago(datetime.now(UTC), Age().convert(value, param, ctx))
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            self.fail(
                f"{value!r} is no time: write 2026-02-15T10:00:00Z, 2026-02-15, or an age such as 3d",
                param,
                ctx,
            )
        return found if found.tzinfo else found.replace(tzinfo=UTC)


def _as_date(digits: str) -> str:
    """As ISO 8601 writes it at length; an example where it can be none."""
    if (day := _DAY.fullmatch(digits)) is not None:
        return "-".join(day.groups())
    return f"{digits}-01-01" if len(digits) == len("2026") else "2026-02-15"


def ago(now: datetime, age: timedelta) -> datetime:
    """So long before `now`; where no calendar goes back so far, its first day."""
    try:
        return now - age
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)
