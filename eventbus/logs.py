"""Structured logs: short dotted actions with fields, through the host program's own logging.

Where structlog is configured, that configuration is used; elsewhere records go to the standard library's
loggers named `eventbus.…`, silent below WARNING until somebody configures logging.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO, cast

from eventbus.errors import inert

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

Format = Literal["console", "json"]


def get_logger(name: str = "eventbus") -> FilteringBoundLogger:
    """The logger of one room; structlog is imported with the first one, to keep `import eventbus` light."""
    import structlog

    if structlog.is_configured():
        return cast("FilteringBoundLogger", structlog.get_logger(name))
    logger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            _for_standard_library,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    return cast("FilteringBoundLogger", logger)


def configure(log_format: Format, *, level: str = "INFO") -> None:
    """What the command line does: logs to stderr, as lines for people or as one JSON object a line.

    A line that cannot be written is lost, and whoever logs goes on.
    """
    import structlog

    patient = _Patient(sys.stderr)
    atexit.register(patient.end)
    stderr = cast("TextIO", patient)
    rendering: list[Any] = (
        [structlog.processors.JSONRenderer(default=str)]
        if log_format == "json"
        else [_indented, structlog.dev.ConsoleRenderer(colors=stderr.isatty(), pad_event_to=24)]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _make_inert,
            *rendering,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(stderr),
    )
    logging.basicConfig(stream=stderr, level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")


class _Patient:
    """A stream that never fails: a full disk, a reader that has gone or a closed file ends no subscription.

    The standard library's handlers swallow the same; structlog's loggers do not.
    """

    def __init__(self, stream: TextIO | None) -> None:
        """None where whoever started this process has closed it."""
        self._stream = stream

    def write(self, text: str) -> int:
        if self._stream is not None:
            with suppress(OSError, ValueError):
                self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        if self._stream is not None:
            with suppress(OSError, ValueError):
                self._stream.flush()

    def end(self) -> None:
        """Python ends with 120 where it cannot write what is left, whatever exit code the program wants."""
        if self._stream is None:
            return
        try:
            self._stream.flush()
        except OSError:
            with suppress(OSError), Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), self._stream.fileno())
        except ValueError:  # it is closed
            return

    def isatty(self) -> bool:
        with suppress(ValueError):
            return self._stream is not None and self._stream.isatty()
        return False


def _for_standard_library(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> tuple[tuple[str], dict[str, Any]]:
    """`worker.ready service=payment`, with the fields on the record too."""
    fields = {name: value for name, value in event.items() if name not in ("event", "level", "exc_info")}
    line = " ".join([str(event["event"]), *(f"{name}={value}" for name, value in fields.items())])
    return (inert(line),), {"exc_info": event.get("exc_info"), "extra": {"eventbus": fields}}


def _make_inert(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Nothing out of a payload colours a line, breaks it or moves the cursor; tracebacks keep their lines."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = inert(value, keep="\n\t" if name == "exception" else "")
    return event


def _indented(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """No line of a traceback looks like one of ours, whatever the words of the exception are."""
    if isinstance(traceback := event.get("exception"), str):
        event["exception"] = "\n".join(f"    {line}" for line in traceback.split("\n"))
    return event
