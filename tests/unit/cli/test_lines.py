from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any, Unpack

import pytest

from eventbus import Bus, Envelope, Event, Receipt
from eventbus.cli.draft import Draft
from eventbus.cli.exits import ExitCode
from eventbus.cli.lines import Line, LinePublisher, LineTooLong, read_lines
from eventbus.errors import BrokerUnreachable, PublishTimeout, SendFailed, SendFate
from eventbus.options import PublishOptions
from eventbus.settings import Settings


class FailingBus(Bus):
    """A bus whose every call fails as it is told, with the fates that it is told."""

    def __init__(self, failure: SendFailed) -> None:
        super().__init__("sqlite://:memory:", source="test", settings=Settings())
        self._failure = failure

    async def publish_many(
        self, events: Iterable[Event | Envelope[Any]], **options: Unpack[PublishOptions]
    ) -> list[Receipt]:
        raise self._failure


async def given(*lines: bytes) -> AsyncIterator[Sequence[Line]]:
    yield [Line(number, text) for number, text in enumerate(lines, start=1)]


async def all_of(lines: AsyncIterator[Sequence[Line]]) -> list[Line]:
    return [line async for some in lines for line in some]


def publisher(bus: Bus, report: list[Receipt]) -> LinePublisher:
    return LinePublisher(bus, Draft("a.b", None, None), {}, report.append)


async def test_what_became_of_each_line_is_told_when_the_broker_stops_taking(
    capsys: pytest.CaptureFixture[str],
):
    fates = [SendFate.CONFIRMED, SendFate.UNKNOWN, SendFate.NOT_SENT]
    receipts: list[Receipt] = []

    code = await publisher(FailingBus(PublishTimeout("10 s are over", fates)), receipts).run(
        given(b"{}", b"{}", b"{}")
    )

    said = capsys.readouterr().err
    assert code is ExitCode.PARTLY
    assert [receipt.state for receipt in receipts] == ["confirmed"]
    assert "line 2: may or may not have arrived, as evt_" in said
    assert "line 3: not sent" in said
    assert "10 s are over" in said


async def test_nothing_published_ends_as_the_error_says():
    away = BrokerUnreachable("amqp://host", "gone", [SendFate.NOT_SENT])
    late = PublishTimeout("10 s are over", [SendFate.UNKNOWN])

    assert await publisher(FailingBus(away), []).run(given(b"{}")) is ExitCode.UNREACHABLE
    assert await publisher(FailingBus(late), []).run(given(b"{}")) is ExitCode.FAILED


async def test_events_are_published_in_the_order_of_their_lines():
    receipts: list[Receipt] = []
    async with Bus("sqlite://:memory:", source="test", settings=Settings()) as bus:
        code = await publisher(bus, receipts).run(given(*(b'{"n": %d}' % n for n in range(10))))
        async with bus.transport.log("first") as batches:
            entries = await anext(batches)

    assert code is ExitCode.DONE
    assert [entry.message.event_id for entry in entries] == [receipt.event_id for receipt in receipts]


async def test_blank_lines_count_and_are_not_read(tmp_path: Path):
    file = tmp_path / "lines"
    file.write_bytes(b'{"n":1}\n\n  \r\n{"n":4}\r\n{"n":5}')

    with file.open("rb") as stream:
        lines = await all_of(read_lines(stream.fileno(), 100))

    assert [(line.number, line.text.strip()) for line in lines] == [
        (1, b'{"n":1}'),
        (4, b'{"n":4}'),
        (5, b'{"n":5}'),
    ]


async def test_a_line_is_read_whole_however_it_arrives():
    reading, writing = os.pipe()
    lines = read_lines(reading, 100)
    try:
        os.write(writing, b'{"n":1}\n{"n"')
        assert await anext(lines) == [Line(1, b'{"n":1}')]
        os.write(writing, b":2}\n")
        assert await anext(lines) == [Line(2, b'{"n":2}')]
    finally:
        os.close(writing)
        assert await all_of(lines) == []
        os.close(reading)


async def test_a_line_without_an_end_is_given_up(tmp_path: Path):
    file = tmp_path / "lines"
    file.write_bytes(b"{}\n" + b"x" * 101)

    with file.open("rb") as stream, pytest.raises(LineTooLong) as caught:
        await all_of(read_lines(stream.fileno(), 100))

    assert caught.value.number == 2
