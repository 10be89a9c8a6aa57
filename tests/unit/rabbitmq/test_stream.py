"""The stream against pamqp, which writes the frames here and knows nothing of ours."""

from __future__ import annotations

import asyncio
import itertools
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pamqp.frame
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pamqp.body import ContentBody
from pamqp.commands import Basic, Channel, Connection, Queue
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from eventbus.rabbitmq.ask import Lost, Refused
from eventbus.rabbitmq.listening import Confirm, Returned
from eventbus.rabbitmq.stream import HotStream
from eventbus.rabbitmq.tap import Tap

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HOT, COLD = 1, 2
"""Channels: one that is tapped, one that is the driver's alone."""


@dataclass
class Heard:
    """What came out of a stream at either end."""

    told: list[object] = field(default_factory=list[object])
    headers: list[bytes] = field(default_factory=list[bytes])
    bodies: list[bytes] = field(default_factory=list[bytes])
    closed: list[Exception] = field(default_factory=list[Exception])
    left: bytes = b""
    """For the driver."""
    error: Exception | None = None


async def hear(pieces: Iterable[bytes], *, largest: int = 131_072) -> Heard:
    heard = Heard()
    reader = asyncio.StreamReader()
    stream = HotStream(reader, asyncio.get_running_loop())
    stream.largest_frame = largest
    tap = Tap(heard.closed.append)

    def arrived(arrival: Any) -> None:
        heard.told.append((arrival.tag, arrival.exchange, arrival.routing_key, arrival.redelivered))
        heard.headers.append(arrival.header)
        heard.bodies.append(arrival.body)

    tap.on_arrival, tap.on_confirm, tap.on_return = arrived, heard.told.append, heard.told.append
    stream.register(HOT, tap)
    for piece in pieces:
        stream.data_received(piece)
    if (error := reader.exception()) is not None:
        heard.error = error
        return heard
    reader.feed_eof()
    heard.left = await reader.read()
    return heard


def frames(channel: int, *parts: Any) -> bytes:
    return b"".join(pamqp.frame.marshal(part, channel) for part in parts)


def delivery(tag: int, body: bytes, *, channel: int = HOT, piece: int = 100) -> bytes:
    parts = [ContentBody(body[at : at + piece]) for at in range(0, len(body), piece)]
    method = Basic.Deliver(
        "ctag", tag, redelivered=tag % 2 == 0, exchange="events", routing_key="order.créée"
    )
    return frames(channel, method, ContentHeader(0, len(body), Basic.Properties(message_id="evt")), *parts)


OURS = (
    delivery(1, b"")
    + delivery(2, b"{}")
    + delivery(3, b"x" * 250)
    + frames(HOT, Basic.Ack(7, multiple=True), Basic.Nack(8))
    + frames(HOT, Basic.Return(312, "NO_ROUTE", "events", "order.x"), ContentHeader(0, 1, Basic.Properties()))
    + frames(HOT, ContentBody(b"y"))
)
THEIRS = (
    frames(0, Heartbeat(), Connection.Blocked("low on memory"))
    + frames(HOT, Basic.ConsumeOk("ctag"), Queue.DeclareOk("q", 1, 2))
    + frames(
        HOT, Basic.GetOk(4, False, "", "q", 0), ContentHeader(0, 2, Basic.Properties()), ContentBody(b"zz")
    )
    + delivery(9, b"of the driver", channel=COLD)
)
TOLD = [
    (1, "events", "order.créée", False),
    (2, "events", "order.créée", True),
    (3, "events", "order.créée", False),
    Confirm(7, multiple=True, taken=True),
    Confirm(8, multiple=False, taken=False),
    Returned("events", "order.x"),
]


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    at = [0, *sorted(places), len(data)]
    return [data[begin:end] for begin, end in itertools.pairwise(at)]


async def test_what_is_frequent_is_taken_and_the_rest_reaches_the_driver_untouched() -> None:
    heard = await hear([THEIRS + OURS])

    assert heard.told == TOLD
    assert heard.bodies == [b"", b"{}", b"x" * 250]
    assert heard.left == THEIRS


async def test_frames_may_be_cut_anywhere() -> None:
    data = THEIRS + OURS
    for place in range(len(data)):
        heard = await hear(cut(data, [place]))
        assert (heard.told, heard.left) == (TOLD, THEIRS)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, len(OURS + THEIRS)), max_size=60))
def test_they_may_come_in_any_pieces(places: list[int]) -> None:
    heard = asyncio.run(hear(cut(OURS + THEIRS, places)))

    assert (heard.told, heard.left) == (TOLD, THEIRS)


@st.composite
def deliveries(draw: st.DrawFn) -> bytes:
    """Some after another, most of which look like the one before."""
    tags, channels = itertools.count(1), st.sampled_from([HOT, HOT, HOT, COLD])
    written: list[bytes] = []
    for body in draw(st.lists(st.binary(max_size=3), min_size=2, max_size=8)):
        key, event_id = draw(st.sampled_from(["a.b", "a.c", "a.longer"])), draw(st.sampled_from("12"))
        consumer = draw(st.sampled_from(["ctag", "ctag", "other"]))
        method = Basic.Deliver(consumer, next(tags), draw(st.booleans()), "events", key)
        header = ContentHeader(0, len(body), Basic.Properties(message_id=event_id))
        parts = [ContentBody(body)] if body else []
        written.append(frames(draw(channels), method, header, *parts))
    return b"".join(written)


@given(deliveries())
def test_deliveries_that_look_alike_are_what_they_are_one_by_one(data: bytes) -> None:
    together = asyncio.run(hear([data]))
    assert together == asyncio.run(hear([data[at : at + 1] for at in range(len(data))]))
    assert together.error is None


@settings(max_examples=400, deadline=None)
@given(deliveries(), st.data())
def test_a_delivery_that_is_damaged_is_never_taken_for_one_like_the_one_before(
    data: bytes, drawn: st.DataObject
) -> None:
    at, damage = drawn.draw(st.integers(0, len(data) - 1)), drawn.draw(st.integers(1, 255))
    damaged = data[:at] + bytes([data[at] ^ damage]) + data[at + 1 :]

    together = asyncio.run(hear([damaged]))
    apart = asyncio.run(hear([damaged[at : at + 1] for at in range(len(damaged))]))

    assert (together.told, together.headers, together.bodies) == (apart.told, apart.headers, apart.bodies)
    assert (together.error is None) == (apart.error is None)


def frame(kind: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, HOT, len(payload)) + payload + b"\xce"


METHOD = frames(HOT, Basic.Deliver("ctag", 4, exchange="events", routing_key="a.b"))
CONTENT = frames(HOT, ContentHeader(0, 1, Basic.Properties()))


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(METHOD + frame(2, b"\0"), id="a header cut short"),
        pytest.param(METHOD + CONTENT + CONTENT, id="a header where the body is due"),
        pytest.param(METHOD + frame(3, b""), id="a body before its header"),
        pytest.param(METHOD + CONTENT + frame(3, b"xy"), id="a body too long"),
        pytest.param(frame(1, b"\0\x3c\0\x50\0"), id="an ack cut short"),
        pytest.param(frame(1, b"\0\x3c"), id="a method without its name"),
        pytest.param(frame(1, METHOD[7:-3]), id="a delivery cut short"),
    ],
)
async def test_no_frame_is_read_beyond_its_end_or_out_of_its_place(broken: bytes) -> None:
    """Also where what follows in the same read would do."""
    heard = await hear([delivery(1, b"x") + broken + delivery(5, b"y") * 3])

    assert heard.told == [(1, "events", "order.créée", False)]
    assert "cannot be read" in str(heard.error)


class Peer(asyncio.Transport):
    """Keeps what is sent, each piece as it leaves."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent.append(bytes(data))

    def is_closing(self) -> bool:
        return False


async def test_what_is_written_in_one_turn_leaves_together_and_what_is_alone_leaves_at_once() -> None:
    loop = asyncio.get_running_loop()
    stream, peer = HotStream(asyncio.StreamReader(), loop), Peer()
    stream.connection_made(peer)

    stream.write(b"alone", at_once=True)
    assert peer.sent == [b"alone"]
    stream.write(b"one ")
    stream.write(b"two ")
    stream.write(b"three", at_once=True)
    assert peer.sent == [b"alone"], "it never overtakes"
    await asyncio.sleep(0)
    assert peer.sent == [b"alone", b"one two three"]


async def test_a_channel_that_is_closed_in_the_middle_of_a_delivery_is_told_so_and_never_gets_the_rest() -> (
    None
):
    begun = frames(HOT, Basic.Deliver("c", 1, False, "", "q"), ContentHeader(0, 9, Basic.Properties()))
    close = frames(HOT, Channel.Close(406, "PRECONDITION_FAILED", 0, 0))

    heard = await hear([begun + frames(HOT, ContentBody(b"123")) + close])

    assert heard.left == close
    assert not heard.told
    (why,) = heard.closed
    assert isinstance(why, Refused)
    assert (why.code, why.problem) == (406, "PRECONDITION_FAILED")


async def test_a_channel_that_the_broker_closes_for_its_own_reasons_is_lost() -> None:
    heard = await hear([frames(HOT, Channel.Close(541, "INTERNAL_ERROR", 0, 0))])

    assert isinstance(heard.closed[0], Lost)


async def test_a_routing_key_that_is_no_utf_8_is_read_with_its_bytes_escaped() -> None:
    odd = delivery(1, b"{}").replace("créée".encode(), b"cr\xe9\xff\xe9ee")

    heard = await hear([odd + odd])

    assert heard.told == [(1, "events", "order.cr\\xe9\\xff\\xe9ee", False)] * 2


WRONG_END = delivery(1, b"{}")[:-1] + b"\x00"
TOO_LONG = frames(HOT, Basic.Deliver("c", 1, False, "", "q"), ContentHeader(0, 1, Basic.Properties()))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (WRONG_END, "end octet"),
        (b"\x01\x00\x01\xff\xff\xff\xff", "4294967295 bytes"),
        (TOO_LONG + frames(HOT, ContentBody(b"12")), "longer"),
        (b"\x01\x00\x01\x00\x00\x00\x05\x00\x3c\x00\x3c\x09\xce", "cannot be read"),
    ],
)
async def test_who_speaks_no_amqp_is_not_listened_to_any_more(data: bytes, told: str) -> None:
    heard = await hear([data, OURS])

    assert not heard.told
    assert isinstance(heard.error, ConnectionError)
    assert told in str(heard.error)
