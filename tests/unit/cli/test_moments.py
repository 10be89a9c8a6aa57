"""How times are written on a command line; ages are in `test_dead.py`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click
import pytest

from eventbus.cli import main
from eventbus.cli.moments import Age, Moment


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-02-15", datetime(2026, 2, 15, tzinfo=UTC)),
        ("2026-02-15T10:00:00Z", datetime(2026, 2, 15, 10, tzinfo=UTC)),
        ("20260215T100000Z", datetime(2026, 2, 15, 10, tzinfo=UTC)),
    ],
)
def test_a_time_is_a_date_with_or_without_its_hour(text: str, moment: datetime):
    assert Moment().convert(text, None, None) == moment


def test_a_time_is_so_long_ago_where_a_unit_says_so():
    moment = Moment().convert("20260215s", None, None)

    assert abs(datetime.now(UTC) - moment - timedelta(seconds=20_260_215)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("text", "as_date", "as_age"),
    [
        ("20260215", "2026-02-15", "20260215s"),
        ("2026", "2026-01-01", "2026s"),
        ("90", "2026-02-15", "90s"),
        ("1.5", "2026-02-15", "1.5s"),
        ("1771113600", "2026-02-15", "3d"),
        ("20260215010", "2026-02-15", "3d"),
    ],
)
def test_a_bare_number_is_no_time_and_the_refusal_shows_how_to_write_either(
    text: str, as_date: str, as_age: str
):
    with pytest.raises(click.BadParameter) as refused:
        Moment().convert(text, None, None)

    assert refused.value.message.endswith(f"write {as_date} for a date, {as_age} for an age")


def test_a_day_is_no_age():
    with pytest.raises(click.BadParameter, match="write 90s, 15m, 2h or 3d"):
        Age().convert("20260215", None, None)


@pytest.mark.parametrize("option", ["--since", "--until"])
def test_a_replay_since_a_bare_number_is_a_wrong_use(option: str, capsys: pytest.CaptureFixture[str]):
    assert main(["replay", "payment.charge", option, "20260215", "--dry-run"]) == 2
    assert "2026-02-15" in capsys.readouterr().err
