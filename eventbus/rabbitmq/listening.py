"""What a channel tells, and to whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from eventbus.errors import describe
from eventbus.logs import get_logger
from eventbus.rabbitmq.arrival import Arrival


class Confirm(NamedTuple):
    """The broker's answer to one publish, or with `multiple` to all up to it that have none yet."""

    tag: int
    multiple: bool
    taken: bool


class Returned(NamedTuple):
    """A mandatory publish that no queue took; its confirm follows."""

    exchange: str
    routing_key: str


OnArrival = Callable[[Arrival], None]
OnConfirm = Callable[[Confirm], None]
OnReturn = Callable[[Returned], None]
OnRoom = Callable[[None], None]

Heard = TypeVar("Heard")


def nobody(_: object) -> None:
    """Hears what is of no interest."""


def tell(listener: Callable[[Heard], None], heard: Heard) -> None:
    """An error here would end the connection with everything on it."""
    try:
        listener(heard)
    except Exception as error:  # noqa: BLE001
        failed(error)


def failed(error: Exception) -> None:
    """Of whoever was told."""
    get_logger("eventbus.rabbitmq").error("frame.failed", error=describe(error), exc_info=error)
