"""Hears when the broker stops to take messages from a connection, which is an alarm, and when it goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from aiormq.abc import AbstractConnection
from pamqp.commands import Connection

OnChange = Callable[[str | None], None]
"""Called with the broker's reason, such as `low on memory`; with None when it takes messages again."""

_BLOCKED: Final = "_Connection__handle_connection_blocked"
_UNBLOCKED: Final = "_Connection__handle_connection_unblocked"


def watch_blocking(connection: AbstractConnection, on_change: OnChange) -> None:
    """The driver tells nobody, so its two handlers of these frames are stood before.

    The broker speaks up when something is published during an alarm, and not before.
    """
    driver = cast("Any", connection)
    on_blocked: Callable[[Connection.Blocked], Awaitable[None]] = getattr(driver, _BLOCKED)
    on_unblocked: Callable[[Connection.Unblocked], Awaitable[None]] = getattr(driver, _UNBLOCKED)

    async def blocked(frame: Connection.Blocked) -> None:
        await on_blocked(frame)
        on_change(frame.reason or "no reason given")

    async def unblocked(frame: Connection.Unblocked) -> None:
        await on_unblocked(frame)
        on_change(None)

    setattr(driver, _BLOCKED, blocked)
    setattr(driver, _UNBLOCKED, unblocked)
