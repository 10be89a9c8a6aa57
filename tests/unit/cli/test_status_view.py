from __future__ import annotations

import pytest

from eventbus.broker_report import BrokerConnection, BrokerReport
from eventbus.cli.output import UNKNOWN, show
from eventbus.cli.status import Look, as_json, as_table
from eventbus.cli.waiting_view import Waiting, waiting_lines
from eventbus.store import Backlog
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
    assert as_json(Look([stats()], ())) == {
        "broker": None,
        "store": None,
        "outbox": None,
        "spool": None,
        "catching_up": [],
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
        ],
    }


def test_where_nothing_waits_there_is_no_age(capsys: pytest.CaptureFixture[str]):
    show(as_table([stats(ready=0)]))

    row = capsys.readouterr().out.splitlines()[-1]
    assert row.split() == ["payment.charge_order", "0", UNKNOWN, UNKNOWN, "0", "2"]


def test_alarms_and_blocked_connections_are_in_the_json_and_told_in_words():
    blocked = BrokerConnection("eventbus order publishing", "shop", "blocked", "publishing")
    running = BrokerConnection("eventbus order consuming", "shop", "running", "consuming")
    alarm = "memory alarm on rabbit@one"
    report = BrokerReport("RabbitMQ", "4.0.5", "3.10", alarms=(alarm,), connections=(running, blocked))
    look = Look([], (), report)

    assert as_json(look)["broker"] == {
        "product": "RabbitMQ",
        "version": "4.0.5",
        "alarms": [alarm],
        "held_up": [
            {
                "name": "eventbus order publishing",
                "user": "shop",
                "state": "blocked",
                "purpose": "publishing",
            }
        ],
    }
    assert look.of_the_broker == (
        f"{alarm}: nobody can publish (eventbus doctor says what to do)",
        "connection eventbus order publishing of user shop is blocked",
    )


def test_what_the_broker_does_not_tell_about_itself_is_null():
    look = Look([], (), BrokerReport("RabbitMQ", "4.0.5", "3.10", alarms=None, connections=None))

    broker = as_json(look)["broker"]
    assert isinstance(broker, dict)
    assert (broker["alarms"], broker["held_up"]) == (None, None)
    assert look.of_the_broker == ()


def test_what_waits_for_the_broker_is_told_in_a_line_each():
    waiting = Waiting(outbox=Backlog(1, 300, 0.85), spool=Backlog(1200, 360_000, 200.0))
    assert waiting_lines(waiting) == [
        "outbox: 1 event waits for the broker (300 bytes, the oldest for 850 ms)",
        "spool: 1200 events wait for the broker (360000 bytes, the oldest for 3 min)",
    ]
    assert waiting_lines(Waiting(outbox=Backlog(0, 0, None))) == []
    assert as_json(Look([], (), waiting=waiting))["spool"] == {
        "events": 1200,
        "bytes": 360_000,
        "oldest_age": 200.0,
    }
