from __future__ import annotations

import pytest

from eventbus.cli.output import UNKNOWN, show
from eventbus.cli.status import as_json, as_table
from eventbus.transport import QueueStats


def stats(*, ready: int = 1, oldest_age: float | None = None) -> QueueStats:
    return QueueStats(
        queue="payment.charge_order",
        ready=ready,
        in_flight=None,
        delayed=None,
        dead=0,
        oldest_age=oldest_age,
        consumers=2,
    )


@pytest.mark.parametrize(
    ("age", "shown"),
    [(0.85, "850 ms"), (1.0, "1 s"), (119, "119 s"), (180, "3 min"), (18_000, "5 h"), (260_000, "3 d")],
)
def test_an_age_is_told_in_a_fitting_unit(age: float, shown: str, capsys: pytest.CaptureFixture[str]):
    show(as_table([stats(oldest_age=age)]))

    assert f" {shown} " in capsys.readouterr().out


def test_what_the_broker_does_not_tell_is_a_dash_and_null(capsys: pytest.CaptureFixture[str]):
    show(as_table([stats()]))

    row = capsys.readouterr().out.splitlines()[-1]
    assert row.split() == ["payment.charge_order", "1", UNKNOWN, UNKNOWN, "0", UNKNOWN, "2"]
    assert as_json([stats()]) == {
        "subscriptions": [
            {
                "subscription": "payment.charge_order",
                "ready": 1,
                "in_flight": None,
                "delayed": None,
                "dead": 0,
                "oldest_age": None,
                "consumers": 2,
            }
        ]
    }


def test_where_nothing_waits_there_is_no_age(capsys: pytest.CaptureFixture[str]):
    show(as_table([stats(ready=0)]))

    row = capsys.readouterr().out.splitlines()[-1]
    assert row.split() == ["payment.charge_order", "0", UNKNOWN, UNKNOWN, "0", "2"]
