"""One call of `send`: in pieces of some hundreds, each one transaction, with the fate of every message."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from typing import Final

from eventbus.embedded.database import BUSY, NO_CODE
from eventbus.embedded.engine import Engine
from eventbus.embedded.sending import Parcel, parcel
from eventbus.embedded.transaction import Operation, WriteFailed
from eventbus.errors import BrokerUnreachable, PublishRefused, PublishTimeout, SendFailed, SendFate
from eventbus.transport import Message

_PIECE: Final = 500


class Publishing:
    """Raises `InvalidEvent` when made, before anything is sent. Run it once."""

    def __init__(self, engine: Engine, messages: Sequence[Message]) -> None:
        self._engine = engine
        self._messages = messages
        parcels = [parcel(message) for message in messages]
        self._pieces = [parcels[at : at + _PIECE] for at in range(0, len(parcels), _PIECE)]
        self._fates: list[SendFate] = []
        self._problem: WriteFailed | None = None

    async def run(self, timeout: float) -> None:
        """Return when all of it is durable; else raise `SendFailed` with the fates."""
        operations = [self._submit(piece) for piece in self._pieces]
        try:
            async with asyncio.timeout(timeout):
                for operation, piece in zip(operations, self._pieces, strict=True):
                    self._fates += await self._fates_of(operation, piece)
        except TimeoutError:
            raise self._too_late(operations, timeout) from None
        except asyncio.CancelledError:
            for operation in operations:
                self._engine.writer.withdraw(operation)
            raise
        if any(fate is not SendFate.CONFIRMED for fate in self._fates):
            raise self._failed() from self._problem

    def _submit(self, piece: Sequence[Parcel]) -> Operation[list[int]]:
        return self._engine.writer.submit_shared(self._engine.store, piece, rows=len(piece))

    async def _fates_of(self, operation: Operation[list[int]], piece: Sequence[Parcel]) -> list[SendFate]:
        try:
            refused = await operation.future
        except WriteFailed as error:
            self._problem = error
            return [SendFate.UNKNOWN if error.unknown else SendFate.NOT_SENT] * len(piece)
        fates = [SendFate.CONFIRMED] * len(piece)
        for position in refused:
            fates[position] = SendFate.NOT_SENT
        return fates

    def _too_late(self, operations: Sequence[Operation[list[int]]], timeout: float) -> SendFailed:
        fates: list[SendFate] = []
        for operation, piece in zip(operations, self._pieces, strict=True):
            if len(fates) < len(self._fates):
                fates += self._fates[len(fates) : len(fates) + len(piece)]
            else:
                withdrawn = self._engine.writer.withdraw(operation)
                fates += [SendFate.NOT_SENT if withdrawn else SendFate.UNKNOWN] * len(piece)
        return PublishTimeout(f"{self._engine.url} did not confirm within {timeout:g} s", fates)

    def _failed(self) -> SendFailed:
        match self._problem:
            case None:
                known = zip(self._messages, self._fates, strict=True)
                missing = sorted({str(m.queue) for m, fate in known if fate is SendFate.NOT_SENT})
                problem = f"{self._engine.url} has no queue {', '.join(missing)}"
                return PublishRefused(problem, self._fates)
            case WriteFailed(code=code, problem=problem) if code in (*BUSY, NO_CODE):
                return BrokerUnreachable(self._engine.url, problem, self._fates)
            case WriteFailed(code=sqlite3.SQLITE_FULL):
                return PublishRefused(f"the disk that {self._engine.url} is on is full", self._fates)
            case WriteFailed(problem=problem):
                return PublishRefused(f"{self._engine.url} refuses: {problem}", self._fates)
