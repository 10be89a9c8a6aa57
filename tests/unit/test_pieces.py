"""More events in one call than should lie in memory at once."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Sequence

import pytest

from eventbus import Event
from eventbus.errors import InvalidEvent, PublishTimeout, SendFate
from eventbus.pieces import PIECE
from eventbus.publisher import Publisher
from eventbus.transport import Message
from tests.support.handling import a_publisher
from tests.support.scripted import ScriptedTransport

CONFIRMED, NOT_SENT, UNKNOWN = SendFate.CONFIRMED, SendFate.NOT_SENT, SendFate.UNKNOWN


class Counted(Event, type="shop.counted"):
    number: float


WRONG = Counted.model_construct(number=math.nan)


def counted(count: int) -> Iterator[Counted]:
    return (Counted(number=number) for number in range(count))


class Pieces(ScriptedTransport):
    """Keeps how many came together."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    async def send(self, messages: Sequence[Message], *, timeout: float) -> None:
        await super().send(messages, timeout=timeout)
        self.sizes.append(len(messages))


@pytest.fixture
def transport() -> Pieces:
    return Pieces()


@pytest.fixture
def publisher(transport: Pieces) -> Publisher:
    return a_publisher(transport, events=[Counted])


@pytest.mark.parametrize(
    ("count", "sizes"),
    [
        (PIECE - 1, [PIECE - 1]),
        (PIECE, [PIECE]),
        (PIECE + 1, [PIECE, 1]),
        (2 * PIECE + 5, [PIECE, PIECE, 5]),
    ],
)
async def test_many_leave_in_pieces_and_in_their_order(
    publisher: Publisher, transport: Pieces, count: int, sizes: list[int]
) -> None:
    receipts = await publisher.publish_many(counted(count), timeout=60)

    assert transport.sizes == sizes
    assert [receipt.event_id for receipt in receipts] == [message.event_id for message in transport.sent]
    assert all(f'"number":{number}.0' in str(transport.sent[number].body) for number in range(0, count, 777))


async def test_no_more_are_taken_than_fit_a_piece(publisher: Publisher, transport: Pieces) -> None:
    taken = 0

    def taking() -> Iterator[Counted]:
        nonlocal taken
        for each in counted(3 * PIECE):
            taken += 1
            assert taken <= len(transport.sent) + PIECE
            yield each

    await publisher.publish_many(taking(), timeout=60)
    assert taken == 3 * PIECE


async def test_the_loop_goes_on_while_a_piece_is_made_ready(publisher: Publisher) -> None:
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    await publisher.publish_many(counted(PIECE), timeout=60)
    counting.cancel()

    assert turns >= 10


async def test_all_of_the_first_piece_are_checked_before_any_is_sent(
    publisher: Publisher, transport: Pieces
) -> None:
    events = [*counted(PIECE - 1), WRONG]

    with pytest.raises(InvalidEvent, match="Nothing was sent") as caught:
        await publisher.publish_many(events)

    assert transport.sent == []
    assert caught.value.published == 0


async def test_what_is_wrong_with_a_later_one_says_how_many_were_published(
    publisher: Publisher, transport: Pieces
) -> None:
    events = [*counted(2 * PIECE + 3), WRONG, *counted(3)]

    with pytest.raises(
        InvalidEvent, match=r"data\.number of shop.counted must be .* The first 20000"
    ) as caught:
        await publisher.publish_many(events, timeout=60)

    assert caught.value.published == len(transport.sent) == 2 * PIECE
    await publisher.publish_many([event for event in events[caught.value.published :] if event is not WRONG])
    assert len(transport.sent) == 2 * PIECE + 6


async def test_the_fates_of_a_failure_are_of_all(publisher: Publisher, transport: Pieces) -> None:
    events = list(counted(2 * PIECE + 5))
    _fail_after(transport, 1, PublishTimeout("no confirm", [UNKNOWN] * PIECE))

    with pytest.raises(PublishTimeout, match="10000 of 20005 are confirmed") as caught:
        await publisher.publish_many(events, timeout=60)

    assert caught.value.fates == (CONFIRMED,) * PIECE + (UNKNOWN,) * PIECE + (NOT_SENT,) * 5


async def test_where_nothing_is_known_of_a_piece_it_was_not_sent(
    publisher: Publisher, transport: Pieces
) -> None:
    _fail_after(transport, 1, PublishTimeout("no connection", ()))

    with pytest.raises(PublishTimeout) as caught:
        await publisher.publish_many(counted(PIECE + 5), timeout=60)

    assert caught.value.fates == (CONFIRMED,) * PIECE + (NOT_SENT,) * 5


async def test_the_timeout_is_for_all_pieces(publisher: Publisher, transport: Pieces) -> None:
    await publisher.publish_many(counted(PIECE + 1), timeout=60)
    first, second = transport.timeouts
    assert first == 60
    assert 0 < second < 60

    with pytest.raises(PublishTimeout, match=r"10000 took the 1e-06 s that were for all") as caught:
        await publisher.publish_many(counted(PIECE + 1), timeout=1e-6)
    assert caught.value.fates == (CONFIRMED,) * PIECE + (NOT_SENT,)


async def test_an_error_of_the_iterable_stays_what_it_is(publisher: Publisher, transport: Pieces) -> None:
    def failing() -> Iterator[Counted]:
        yield from counted(PIECE)
        raise KeyError("of the reader")

    with pytest.raises(KeyError):
        await publisher.publish_many(failing(), timeout=60)
    assert len(transport.sent) == PIECE


def _fail_after(transport: Pieces, pieces: int, error: Exception) -> None:
    send = transport.send

    async def sending(messages: Sequence[Message], *, timeout: float) -> None:
        if len(transport.sizes) == pieces:
            transport.send_error = error
        await send(messages, timeout=timeout)

    transport.send = sending  # type: ignore[method-assign]
