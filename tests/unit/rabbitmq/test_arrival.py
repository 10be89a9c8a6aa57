from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.rabbitmq.arrival import BadProperties, Properties, read_properties, read_usual
from eventbus.rabbitmq.fields import properties, usual_properties

KEY = "order.created"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def written(event_id: str, event_type: str, source: str | None, moment: datetime) -> bytes:
    return properties(
        content_type="application/json",
        headers={},
        correlation_id=None,
        event_id=event_id,
        timestamp=moment,
        event_type=event_type,
        source=source,
    )


def counted(header: bytes, returns: int) -> bytes:
    """As a quorum queue of RabbitMQ 3.10 hands it over."""
    table = b"\x10x-delivery-countl" + returns.to_bytes(8)
    at = 3 + header[2]
    return b"\xb0\xe8" + header[2:at] + len(table).to_bytes(4) + table + header[at:]


@given(TEXTS, TEXTS, st.none() | TEXTS, st.integers(0, 2**32 - 1))
def test_the_properties_of_our_own_messages_come_back_as_they_were(
    event_id: str, event_type: str, source: str | None, second: int
):
    moment = datetime.fromtimestamp(second, UTC)
    header = written(event_id, event_type, source, moment)
    assert usual_properties("application/json", event_id, moment, event_type, source) == header
    if source is not None:
        assert read_usual(header, KEY) == (("application/json", event_type, source), event_id, moment)
        assert read_usual(counted(header, 0), KEY) == read_usual(header, KEY)
        assert read_usual(counted(header, 1), KEY) is None
    assert read_properties(header) == Properties(
        content_type="application/json",
        delivery_mode=2,
        message_id=event_id,
        timestamp=moment,
        message_type=event_type,
        app_id=source,
    )


USUAL = written("evt_1", "order.created", "shop", datetime(2025, 2, 15, tzinfo=UTC))
COUNTED = counted(USUAL, 0)


def read_both_ways(header: bytes) -> Properties | None:
    """None where they are refused. What is read as the usual ones is the same, or left to the other way."""
    try:
        read = read_properties(header)
    except BadProperties:
        with suppress(BadProperties):
            assert read_usual(header, KEY) is None
        return None
    lasting = read.content_type, read.message_type, read.app_id
    assert read_usual(header, KEY) in (None, (lasting, read.message_id, read.timestamp))
    return read


@pytest.mark.parametrize("whole", [USUAL, COUNTED])
def test_properties_that_are_cut_off_or_too_long_are_refused(whole: bytes):
    assert read_both_ways(whole) is not None
    for header in (*(whole[:end] for end in range(len(whole))), whole + b"\0"):
        assert read_both_ways(header) is None


@given(st.sampled_from([USUAL, COUNTED]), st.integers(0, len(COUNTED) - 1), st.binary(min_size=1, max_size=3))
def test_damaged_properties_are_read_or_refused_and_nothing_else(whole: bytes, at: int, damage: bytes):
    read_both_ways(whole[:at] + damage + whole[at + 1 :])
