"""One call of `send`: in pieces of some hundreds, each one transaction, with the fate of every message."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from eventbus.embedded.database import BUSY, NO_CODE
from eventbus.embedded.engine import Engine
from eventbus.embedded.sending import Parcel, parcel
from eventbus.embedded.transaction import Operation, WriteFailed
from eventbus.errors import (
    BrokerUnreachable,
    PublishRefused,
    PublishTimeout,
    QueueMissing,
    SendFailed,
    SendFate,
)
from eventbus.transport import Message

_PIECE: Final = 500


class Publishing:
    """Raises `InvalidEvent` when made, before anything is sent. Run it once."""

    def __init__(self, engine: Engine, messages: Sequence[Message]) -> None:
        self._engine = engine
        self._messages = messages
        parcels = [parcel(message) for message in messages]
        self._pieces = [parcels[at : at + _PIECE] for at in range(0, len(parcels), _PIECE)]
        self._problem: WriteFailed | None = None

    async def run(self, timeout: float, patience: float) -> None:
        """Return when all of it is durable; else raise `SendFailed` with the fates.

        `timeout`: for all of it, `patience` for each piece.
        """
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + timeout
        operations = [self._submit(piece) for piece in self._pieces]
        is_late = False
        try:
            async with asyncio.timeout_at(ends_at) as limit:
                for operation in operations:
                    limit.reschedule(min(ends_at, loop.time() + patience))
                    with suppress(WriteFailed):  # it is asked for its fate below, with the others
                        await operation.future
        except TimeoutError:
            is_late = True
        except asyncio.CancelledError:
            for operation in operations:
                self._abandon(operation)
            raise
        parts = zip(operations, self._pieces, strict=True)
        fates = [fate for operation, piece in parts for fate in self._fates_of(operation, len(piece))]
        if any(fate is not SendFate.CONFIRMED for fate in fates):
            raise self._failed(fates, min(timeout, patience) if is_late else None) from self._problem

    def _submit(self, piece: Sequence[Parcel]) -> Operation[list[int]]:
        return self._engine.writer.submit_shared(self._engine.store, piece, rows=len(piece))

    def _abandon(self, operation: Operation[list[int]]) -> SendFate:
        """Nobody waits for it any more."""
        operation.future.cancel()
        return SendFate.NOT_SENT if self._engine.writer.withdraw(operation) else SendFate.UNKNOWN

    def _fates_of(self, operation: Operation[list[int]], count: int) -> list[SendFate]:
        future = operation.future
        if not future.done() or future.cancelled():
            return [self._abandon(operation)] * count
        error = future.exception()
        if isinstance(error, WriteFailed):
            self._problem = error
            return [SendFate.UNKNOWN if error.unknown else SendFate.NOT_SENT] * count
        fates = [SendFate.CONFIRMED] * count
        for refused in future.result():
            fates[refused] = SendFate.NOT_SENT
        return fates

    def _failed(self, fates: Sequence[SendFate], timeout: float | None) -> SendFailed:
        url = self._engine.url
        if timeout is not None:
            return PublishTimeout(f"{url} did not confirm within {timeout:g} s", fates)
        match self._problem:
            case None:
                known = zip(self._messages, fates, strict=True)
                missing = sorted({str(m.queue) for m, fate in known if fate is SendFate.NOT_SENT})
                return QueueMissing(f"{url} has no queue {', '.join(missing)}", fates)
            case WriteFailed(code=code, problem=problem) if code in (*BUSY, NO_CODE):
                return BrokerUnreachable(url, problem, fates)
            case WriteFailed(code=sqlite3.SQLITE_FULL):
                return PublishRefused(f"the disk that {url} is on is full", fates)
            case WriteFailed(problem=problem):
                return PublishRefused(f"{url} refuses: {problem}", fates)
