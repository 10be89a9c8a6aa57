"""Structured logs: short dotted actions with fields, through the host program's own logging.

Where structlog is configured, that configuration is used; elsewhere records go to the standard library's
loggers named `eventbus.…`, silent below WARNING until somebody configures logging.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, Literal, cast

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
    """What the command line does: logs to stderr, as lines for people or as one JSON object a line."""
    import structlog

    renderer: Any = (
        structlog.processors.JSONRenderer(default=str)
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=24)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _make_inert,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")


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
