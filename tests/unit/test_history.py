"""Reading ahead: what comes while something else is done comes together, and nothing is lost of an end."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from eventbus.history import Piece, Place, read_ahead
from eventbus.transport import Message
from tests.support.eventually import eventually


def piece(number: int, *, missing: int = 0) -> Piece:
    return Piece([Message(b"%d" % number, "order.created")], Place(offset=number), missing)


class Source:
    def __init__(self, count: int, error: Exception | None = None) -> None:
        self.read = 0
        self.is_closed = False
        self._count = count
        self._error = error

    async def pieces(self) -> AsyncGenerator[Piece]:
        try:
            for number in range(self._count):
                self.read += 1
                yield piece(number, missing=1)
            if self._error is not None:
                raise self._error
        finally:
            self.is_closed = True


async def test_everything_comes_in_its_order_and_what_came_meanwhile_comes_as_one():
    source = Source(10)
    bodies: list[bytes] = []
    missing = 0
    async with aclosing(read_ahead(source.pieces(), most=4)) as pieces:
        first = await anext(pieces)
        await eventually(lambda: source.read >= 4)
        together = await anext(pieces)
        for each in (first, together):
            bodies += [message.body for message in each.messages]
            missing += each.missing
        assert len(together.messages) > 1
        assert together.place == Place(offset=len(bodies) - 1)
        async for each in pieces:
            bodies += [message.body for message in each.messages]
            missing += each.missing

    assert bodies == [b"%d" % number for number in range(10)]
    assert missing == 10


async def test_it_reads_no_further_ahead_than_it_is_told():
    source = Source(100)
    async with aclosing(read_ahead(source.pieces(), most=3)) as pieces:
        await anext(pieces)
        await eventually(lambda: source.read >= 4)

        assert source.read <= 3 + 3  # what was given out, and what waits

    assert source.is_closed


async def test_an_error_comes_after_what_was_read_before_it():
    source = Source(3, ValueError("the log is gone"))
    read: list[Message] = []

    async def read_all() -> None:
        async with aclosing(read_ahead(source.pieces())) as pieces:
            async for each in pieces:
                read.extend(each.messages)

    with pytest.raises(ValueError, match="the log is gone"):
        await read_all()

    assert len(read) == 3
    assert source.is_closed
