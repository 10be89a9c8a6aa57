from __future__ import annotations

import pytest

from eventbus.cli.exits import ExitCode, complain, exit_code, told
from eventbus.errors import (
    BrokerUnreachable,
    ConfigurationError,
    EventBusError,
    InvalidEvent,
    PublishTimeout,
    SendFate,
    TopologyError,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("no such URL"), 2),
        (BrokerUnreachable("amqp://host", "refused"), 4),
        (PublishTimeout("10 s are over", [SendFate.UNKNOWN]), 1),
        (TopologyError("queue a.b", "differs"), 1),
        (InvalidEvent("data", "does not fit"), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_exit_code_says_what_kind_of_error_it_was(error: EventBusError, code: int):
    assert exit_code(error) is ExitCode(code)


def test_a_complaint_is_one_inert_line(capsys: pytest.CaptureFixture[str]):
    complain("first\n\x1b[31msecond\r\nthird\u202e")

    assert capsys.readouterr().err == "eventbus: first �[31msecond third�\n"


def test_a_broker_out_of_reach_is_no_matter_of_publishing_where_nothing_was_published():
    assert told(BrokerUnreachable("amqp://host", "refused")) == (
        "cannot reach the broker at amqp://host: refused. "
        "Is it running, and is the URL (--url or EVENTBUS_URL) the right one?"
    )
    assert "Nothing was sent" in told(BrokerUnreachable("amqp://host", "refused", [SendFate.NOT_SENT]))
