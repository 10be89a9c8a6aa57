"""`publish --lines`: an event for each line, sent while the rest is still being read.

A line that is no event is told by its number and left out; the others are published, in their order.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from eventbus.bus import Bus
from eventbus.cli.draft import Draft
from eventbus.cli.exits import ExitCode, complain, exit_code, told
from eventbus.envelope import Envelope
from eventbus.errors import EventBusError, InvalidEvent, SendFailed, SendFate
from eventbus.options import PublishOptions
from eventbus.pieces import PIECE
from eventbus.publisher import Receipt
from eventbus.strict_json import BadJson

_CHUNK: Final = 256 * 1024


class LineTooLong(EventBusError):
    """What is read has no line end where one is due."""

    def __init__(self, number: int, limit: int) -> None:
        self.number = number
        self.limit = limit
        super().__init__(
            f"line {number} is longer than {limit} bytes; --lines wants one JSON object a line. "
            "It and what follows was not read."
        )


@dataclass(frozen=True, slots=True)
class Line:
    number: int
    """1-based."""
    text: bytes


Drafted = tuple[Line, Envelope[Any]]


class LinePublisher:
    """Publishes lines, and keeps count; `report` is called with each event that the broker has."""

    def __init__(
        self, bus: Bus, draft: Draft, options: PublishOptions, report: Callable[[Receipt], None]
    ) -> None:
        self.published = 0
        self.refused = 0
        self._bus = bus
        self._draft = draft
        self._options = options
        self._report = report
        self._doubts: set[str] = set()

    async def run(self, lines: AsyncIterator[Sequence[Line]]) -> ExitCode:
        """Until the lines end, or the broker takes no more; says on stderr what was not published."""
        stopped: EventBusError | None = None
        try:
            async for some in lines:
                drafted = [drafted for line in some if (drafted := self._drafted(line))]
                for at in range(0, len(drafted), PIECE):
                    await self._publish(drafted[at : at + PIECE])
        except (SendFailed, LineTooLong) as error:
            complain(told(error))
            stopped = error
        if stopped is None and self.refused == 0:
            return ExitCode.DONE
        if self.published:
            return ExitCode.PARTLY
        return ExitCode.FAILED if stopped is None else exit_code(stopped)

    def _drafted(self, line: Line) -> Drafted | None:
        try:
            envelope = self._draft.envelope(self._bus, line.text)
        except BadJson as error:
            self._refuse(line, f"invalid JSON: {str(error).replace(' at line 1 column ', ' at column ')}")
        except InvalidEvent as error:
            self._refuse(line, str(error))
        else:
            self._tell_doubt(envelope)
            return line, envelope
        return None

    def _tell_doubt(self, envelope: Envelope[Any]) -> None:
        doubt = self._draft.doubt(self._bus, envelope)
        if doubt is not None and doubt not in self._doubts:
            self._doubts.add(doubt)
            complain(doubt)

    async def _publish(self, drafted: Sequence[Drafted]) -> None:
        try:
            receipts = await self._bus.publish_many([envelope for _, envelope in drafted], **self._options)
        except InvalidEvent as error:  # nothing of the call was sent; now find the one that cannot travel
            if len(drafted) > 1:
                for each in drafted:
                    await self._publish([each])
            else:
                self._refuse(drafted[0][0], str(error))
        except SendFailed as error:
            self._tell_fates(drafted, error)
            raise
        else:
            for receipt in receipts:
                self._confirm(receipt)

    def _tell_fates(self, drafted: Sequence[Drafted], error: SendFailed) -> None:
        fates = error.fates if len(error.fates) == len(drafted) else [SendFate.UNKNOWN] * len(drafted)
        for (line, envelope), fate in zip(drafted, fates, strict=True):
            match fate:
                case SendFate.CONFIRMED:
                    self._confirm(
                        Receipt(envelope.event_id, "scheduled" if self._options.get("delay") else "confirmed")
                    )
                case SendFate.NOT_SENT:
                    self._refuse(line, "not sent")
                case SendFate.UNKNOWN:
                    self._refuse(line, f"may or may not have arrived, as {envelope.event_id}")

    def _confirm(self, receipt: Receipt) -> None:
        self.published += 1
        self._report(receipt)

    def _refuse(self, line: Line, why: str) -> None:
        self.refused += 1
        complain(f"line {line.number}: {why}")


async def read_lines(file: int, longest: int) -> AsyncIterator[list[Line]]:
    """The lines of an open file descriptor that are not blank: what there is at one time, together.

    Raises `LineTooLong` for a line of more than `longest` bytes.
    """
    number, begun = 0, b""
    while chunk := await _read(file):
        *whole, begun = (begun + chunk).split(b"\n")
        lines = [Line(number + at, text) for at, text in enumerate(whole, start=1)]
        number += len(whole)
        yield [line for line in lines if line.text.strip()]
        if len(begun) > longest:
            raise LineTooLong(number + 1, longest)
    if begun.strip():
        yield [Line(number + 1, begun)]


async def _read(file: int) -> bytes:
    """What there is by now, at most a chunk; nothing at the end."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    try:
        loop.add_reader(file, readable.set)
    except (PermissionError, NotImplementedError):  # a regular file, which never lets anybody wait
        return os.read(file, _CHUNK)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(file)
    return os.read(file, _CHUNK)
