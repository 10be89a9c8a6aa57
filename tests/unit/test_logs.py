from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from eventbus.logs import configure, get_logger


@pytest.fixture(autouse=True)
def logging_as_found() -> Iterator[None]:
    structlog.contextvars.clear_contextvars()
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.contextvars.clear_contextvars()


def fail() -> None:
    raise ValueError("bad \x1b[31mcard\x1b[0m")


def test_without_any_configuration_a_line_goes_to_the_standard_librarys_logger(
    caplog: pytest.LogCaptureFixture,
):
    with caplog.at_level(logging.INFO, "eventbus"):
        get_logger("eventbus.worker").info("worker.ready", service="payment", seconds=0.2)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("eventbus.worker", "INFO")
    assert record.getMessage() == "worker.ready service=payment seconds=0.2"
    assert vars(record)["eventbus"] == {"service": "payment", "seconds": 0.2}


def test_percent_signs_stay_as_they_are(caplog: pytest.LogCaptureFixture):
    get_logger("eventbus.worker").warning("handler.failed", error="100% of %s")
    assert caplog.records[0].getMessage() == "handler.failed error=100% of %s"


def test_below_warning_nothing_is_said_until_somebody_configures_logging(caplog: pytest.LogCaptureFixture):
    get_logger("eventbus.worker").info("worker.ready")
    assert caplog.records == []


def test_an_exception_keeps_its_traceback(caplog: pytest.LogCaptureFixture):
    try:
        fail()
    except ValueError:
        get_logger("eventbus.worker").exception("subscription.failed", error="bad card")
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[0] is ValueError
    assert record.getMessage() == "subscription.failed error=bad card"


def test_what_a_payload_says_cannot_break_or_colour_a_line(caplog: pytest.LogCaptureFixture):
    get_logger("eventbus.worker").warning(
        "event.odd", text="\x1b[31mred\nevent.forged level=info", fine="grün ✓"
    )
    assert caplog.records[0].getMessage() == "event.odd text=�[31mred�event.forged level=info fine=grün ✓"


def test_context_of_the_caller_is_on_every_line(caplog: pytest.LogCaptureFixture):
    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        get_logger("eventbus.worker").warning("event.retried")
    assert caplog.records[0].getMessage() == "event.retried request_id=r-1"


def test_where_structlog_is_configured_that_configuration_is_used():
    with structlog.testing.capture_logs() as captured:
        structlog.configure(processors=structlog.get_config()["processors"])
        get_logger("eventbus.worker").info("worker.ready", service="payment")
    assert captured == [{"event": "worker.ready", "service": "payment", "log_level": "info"}]


def test_json_logs_are_one_object_a_line_on_stderr(capsys: pytest.CaptureFixture[str]):
    configure("json")
    log = get_logger("eventbus.worker").bind(service="payment")
    log.info("worker.ready", text="two\nlines \x1b[31m")
    try:
        fail()
    except ValueError:
        log.exception("subscription.failed")
    said = capsys.readouterr()
    assert said.out == ""
    first, second = (json.loads(line) for line in said.err.splitlines())
    assert (first["event"], first["service"], first["level"]) == ("worker.ready", "payment", "info")
    assert first["timestamp"].endswith("Z")
    assert "ValueError" in second["exception"]
    assert "\x1b" not in said.err


def test_console_logs_are_lines_for_people_on_stderr(capsys: pytest.CaptureFixture[str]):
    configure("console")
    log = get_logger("eventbus.worker")
    log.info("worker.ready", service="payment", text="two\nlines \x1b[31m")
    try:
        fail()
    except ValueError:
        log.exception("subscription.failed")
    said = capsys.readouterr()
    assert said.out == ""
    assert "worker.ready" in said.err.splitlines()[0]
    assert "service=payment" in said.err.splitlines()[0]
    assert "ValueError" in said.err
    assert "\x1b" not in said.err
    assert said.err.splitlines()[0].count("lines") == 1


def test_below_the_level_asked_for_nothing_is_said(capsys: pytest.CaptureFixture[str]):
    configure("json", level="warning")
    get_logger("eventbus.worker").info("worker.ready")
    assert capsys.readouterr().err == ""
