"""What is written, against pamqp, which reads it here and knows nothing of ours."""

from __future__ import annotations

from typing import Any

import pamqp.frame
from hypothesis import given
from hypothesis import strategies as st
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from eventbus.rabbitmq.frames import Parcel, ack, nack, publish_frames
from eventbus.rabbitmq.topology import Route

CHANNEL = 1


def written(answer: Any) -> bytes:
    return pamqp.frame.marshal(answer, CHANNEL)


@given(st.binary(max_size=40), st.integers(4, 30))
def test_a_publish_is_what_pamqp_reads(body: bytes, max_body: int) -> None:
    properties = ContentHeader(0, 0, Basic.Properties(message_id="evt")).marshal()[12:]
    parcel = Parcel(Route("events", "order.créée", True), properties, body)
    rest = b"".join(publish_frames(CHANNEL, parcel, max_body))
    parts: list[Any] = []
    while rest:
        size, channel, part = pamqp.frame.unmarshal(rest)
        assert channel == CHANNEL
        parts.append(part)
        rest = rest[size:]

    publish, header, *bodies = parts
    assert (publish.exchange, publish.routing_key, publish.mandatory) == ("events", "order.créée", True)
    assert (header.body_size, header.properties.message_id) == (len(body), "evt")
    assert b"".join(part.value for part in bodies) == body
    assert all(0 < len(part.value) <= max_body for part in bodies)


def test_answers_are_what_pamqp_writes() -> None:
    assert ack(CHANNEL, 2**40, multiple=True) == written(Basic.Ack(2**40, True))
    assert ack(CHANNEL, 1) == written(Basic.Ack(1, False))
    assert nack(CHANNEL, 5, requeue=True) == written(Basic.Nack(5, False, True))
    assert nack(CHANNEL, 5, requeue=False) == written(Basic.Nack(5, False, False))
