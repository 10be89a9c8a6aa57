"""Every time there is has its part, and the parts lie side by side."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from eventbus.archives.months import month_of, span

MOMENTS = [
    (datetime(1, 1, 2, tzinfo=UTC), "before_2000"),
    (datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), "before_2000"),
    (datetime(2000, 1, 1, tzinfo=UTC), "2000_01"),
    (datetime(2026, 11, 30, 23, 59, 59, 999_999, tzinfo=UTC), "2026_11"),
    (datetime(2026, 12, 1, tzinfo=UTC), "2026_12"),
    (datetime(2099, 12, 31, 23, tzinfo=UTC), "2099_12"),
    (datetime(2100, 1, 1, tzinfo=UTC), "from_2100"),
]


@pytest.mark.parametrize(("moment", "name"), MOMENTS)
def test_a_moment_lies_in_its_month(moment: datetime, name: str) -> None:
    assert month_of(moment) == name
    begins, ends = span(name)
    assert begins is None or begins <= moment
    assert ends is None or moment < ends


def test_each_month_ends_where_the_next_one_begins() -> None:
    name, months = "before_2000", 0
    while (ends := span(name)[1]) is not None:
        assert month_of(ends - timedelta(microseconds=1)) == name
        name, months = month_of(ends), months + 1
        assert span(name)[0] == ends
    assert (name, months) == ("from_2100", 1201)
