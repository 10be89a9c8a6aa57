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

    async def send(
        self, messages: Sequence[Message], *, timeout: float, patience: float | None = None
    ) -> None:
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
    assert caught.value.sent is None
    await publisher.publish_many([event for event in events[caught.value.published :] if event is not WRONG])
    assert len(transport.sent) == 2 * PIECE + 6


async def test_the_fates_of_a_failure_are_of_all(publisher: Publisher, transport: Pieces) -> None:
    events = list(counted(2 * PIECE + 5))
    _fail_after(transport, 1, PublishTimeout("no confirm", [UNKNOWN] * PIECE))

    with pytest.raises(
        PublishTimeout, match=r"^behind the first 10000 .*: no confirm. 10000 of 20005 are confirmed"
    ) as caught:
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
    await publisher.publish_many(counted(2 * PIECE + 1), timeout=60)
    assert transport.timeouts[0] == 60
    assert 60 > transport.timeouts[1] > transport.timeouts[2] > 0


async def test_when_the_time_is_up_what_stands_in_for_the_broker_is_asked_all_the_same(
    publisher: Publisher, transport: Pieces
) -> None:
    """A function that is called for each event while the broker is away takes its time."""
    await publisher.publish_many(counted(PIECE + 1), timeout=1e-6)

    assert transport.sizes == [PIECE, 1]
    assert 0 < transport.timeouts[1] <= 0.001


async def test_a_collection_is_taken_as_it_is_when_it_is_given(
    publisher: Publisher, transport: Pieces
) -> None:
    events = list(counted(3_000))
    publishing = asyncio.create_task(publisher.publish_many(events))
    await asyncio.sleep(0)
    events.clear()

    assert len(await publishing) == len(transport.sent) == 3_000


async def test_an_iterable_that_cannot_say_its_length_is_as_good(
    publisher: Publisher, transport: Pieces
) -> None:
    class Bar:
        """As a progress bar around a generator is."""

        def __len__(self) -> int:
            raise TypeError("unknown")

        def __iter__(self) -> Iterator[Counted]:
            return counted(3)

    assert len(await publisher.publish_many(Bar())) == 3


async def test_an_error_of_the_iterable_stays_what_it_is(publisher: Publisher, transport: Pieces) -> None:
    def failing(count: int) -> Iterator[Counted]:
        yield from counted(count)
        raise KeyError("of the reader")

    with pytest.raises(KeyError) as late:
        await publisher.publish_many(failing(PIECE), timeout=60)
    assert late.value.__notes__ == ["The first 10000 events were published."]
    assert len(transport.sent) == PIECE

    with pytest.raises(KeyError) as early:
        await publisher.publish_many(failing(3))
    assert not hasattr(early.value, "__notes__")
    assert len(transport.sent) == PIECE


async def test_the_cause_of_what_is_wrong_is_told(publisher: Publisher) -> None:
    def rows() -> Iterator[Counted]:
        yield from counted(PIECE)
        raise InvalidEvent("row", "is none") from KeyError("number")

    with pytest.raises(InvalidEvent) as caught:
        await publisher.publish_many(rows())
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.published == PIECE


def _fail_after(transport: Pieces, pieces: int, error: Exception) -> None:
    send = transport.send

    async def sending(messages: Sequence[Message], *, timeout: float) -> None:
        if len(transport.sizes) == pieces:
            transport.send_error = error
        await send(messages, timeout=timeout)

    transport.send = sending  # type: ignore[method-assign]
