from __future__ import annotations

import json

import pytest

from eventbus.broker_report import BrokerConnection, BrokerReport
from eventbus.cli.doctor import as_json, as_table
from eventbus.cli.output import print_json, show
from eventbus.diagnosis import Facts, diagnose

HOSTILE = BrokerConnection("\x1b[31mred\nline", "gu\x1best", "blocked")
FACTS = Facts(BrokerReport("RabbitMQ", "4.0.5", "3.10", connections=(HOSTILE,)))


def test_what_a_client_calls_itself_commands_no_terminal(capsys: pytest.CaptureFixture[str]):
    show(as_table(diagnose(FACTS)))

    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert not any(line.startswith("line") for line in out.splitlines())


def test_a_program_gets_the_broker_and_each_finding_on_one_line(capsys: pytest.CaptureFixture[str]):
    print_json(as_json(FACTS, diagnose(FACTS)))

    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert len(out.splitlines()) == 1
    told = json.loads(out)
    assert told["broker"]["connections"][0]["state"] == "blocked"
    assert {finding["severity"] for finding in told["findings"]} == {"serious", "note"}
