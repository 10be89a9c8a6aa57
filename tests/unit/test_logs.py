from __future__ import annotations

import asyncio
import errno
import io
import json
import logging
import os
import subprocess
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
import structlog

from eventbus import Bus
from eventbus.logs import configure, get_logger
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger


@pytest.fixture(autouse=True)
def logging_as_found() -> Iterator[None]:
    structlog.contextvars.clear_contextvars()
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.contextvars.clear_contextvars()


def fail(words: str = "bad \x1b[31mcard\x1b[0m") -> None:
    raise ValueError(words)


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


def test_the_words_of_an_exception_make_no_line_like_one_of_ours(capsys: pytest.CaptureFixture[str]):
    configure("console")
    try:
        fail("no such card\n2026-11-29T01:21:34Z [info     ] worker.ready\rservices=['forged']")
    except ValueError:
        get_logger("eventbus.worker").exception("subscription.failed")
    first, *others = capsys.readouterr().err.splitlines()
    assert "subscription.failed" in first
    assert any("worker.ready" in line for line in others)
    assert all(line.startswith("    ") for line in others)


def test_below_the_level_asked_for_nothing_is_said(capsys: pytest.CaptureFixture[str]):
    configure("json", level="warning")
    get_logger("eventbus.worker").info("worker.ready")
    assert capsys.readouterr().err == ""


class Unwritable(io.StringIO):
    """A stream that takes no line for as long as `error` is there; how often it was asked."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error: Exception | None = error
        self.asked = 0

    def write(self, text: str) -> int:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return super().write(text)

    def flush(self) -> None:
        if self.error is not None:
            raise self.error


WHY_NOT = [
    pytest.param(BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)), id="the reader has gone"),
    pytest.param(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), id="the disk is full"),
    pytest.param(ValueError("I/O operation on closed file."), id="it is closed"),
]


def configured_on(
    stream: io.StringIO | None,
    monkeypatch: pytest.MonkeyPatch,
    log_format: Literal["json", "console"] = "json",
) -> FilteringBoundLogger:
    monkeypatch.setattr(sys, "stderr", stream)
    logging.getLogger().handlers = []
    configure(log_format)
    return get_logger("eventbus.worker")


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("error", WHY_NOT)
def test_a_line_that_cannot_be_written_is_nobodys_error(
    error: Exception, log_format: Literal["json", "console"], monkeypatch: pytest.MonkeyPatch
):
    stream = Unwritable(error)
    log = configured_on(stream, monkeypatch, log_format)
    log.info("worker.ready")
    try:
        fail()
    except ValueError:
        log.exception("subscription.failed")
    assert stream.asked


@pytest.mark.parametrize("error", WHY_NOT)
def test_a_line_of_another_library_that_cannot_be_written_is_nobodys_error(
    error: Exception, monkeypatch: pytest.MonkeyPatch
):
    stream = Unwritable(error)
    configured_on(stream, monkeypatch)
    logging.getLogger("aio_pika").warning("connection lost")
    assert stream.asked


@pytest.mark.parametrize("error", WHY_NOT)
def test_lines_are_written_again_as_soon_as_they_can_be(error: Exception, monkeypatch: pytest.MonkeyPatch):
    stream = Unwritable(error)
    log = configured_on(stream, monkeypatch)
    log.info("worker.ready")
    stream.error = None
    log.info("worker.draining")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["worker.draining"]


def test_without_a_stderr_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    configured_on(None, monkeypatch, "console").info("worker.ready")
    assert capsys.readouterr() == ("", "")


FAILS_AND_GOES_ON = """
import os
from eventbus import RetryPolicy, Service, subscribe

@subscribe("order.created", retry=RetryPolicy(max_attempts=1))
async def charge(event):
    os.dup2(os.open("/dev/full", os.O_WRONLY), 2)
    with open("handled", "a") as handled:
        print(event["number"], file=handled)
    raise ValueError("no")

service = Service("payment", [charge])
"""


ENDS_ON_A_FULL_DISK = """
import os, sys
from eventbus.logs import configure, get_logger
configure("console")
os.dup2(os.open("/dev/full", os.O_WRONLY), 2)
get_logger("eventbus.worker").warning("worker.stopped")
sys.exit(3)
"""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_program_on_a_full_disk_ends_with_its_own_exit_code():
    assert (
        subprocess.run([sys.executable, "-c", ENDS_ON_A_FULL_DISK], check=False, timeout=60).returncode == 3
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
async def test_a_worker_whose_disk_is_full_handles_the_next_event_and_drains(tmp_path: Path):
    (tmp_path / "full.py").write_text(FAILS_AND_GOES_ON)
    url, handled = f"sqlite:///{tmp_path}/events.db", tmp_path / "handled"
    handled.touch()
    run = "import sys; from eventbus.cli import main; sys.exit(main())"
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", run, "run", "full:service", "--url", url), cwd=tmp_path, stderr=PIPE
    )
    try:
        assert worker.stderr is not None
        await asyncio.wait_for(worker.stderr.readuntil(b"worker.ready"), 30)
        async with Bus(url, source="test") as bus:
            await bus.publish("order.created", {"number": 1})
            await eventually(lambda: handled.read_text() == "1\n")
            await bus.publish("order.created", {"number": 2})
            await eventually(lambda: handled.read_text() == "1\n2\n")
        worker.terminate()
        assert await asyncio.wait_for(worker.wait(), 30) == 0
    finally:
        if worker.returncode is None:
            worker.kill()
            await worker.wait()
