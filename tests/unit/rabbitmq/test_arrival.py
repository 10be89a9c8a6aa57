from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.rabbitmq.arrival import BadProperties, Properties, read_properties, read_usual
from eventbus.rabbitmq.fields import properties

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


@given(TEXTS, TEXTS, st.none() | TEXTS, st.integers(0, 2**32 - 1))
def test_the_properties_of_our_own_messages_come_back_as_they_were(
    event_id: str, event_type: str, source: str | None, second: int
):
    moment = datetime.fromtimestamp(second, UTC)
    header = written(event_id, event_type, source, moment)
    if source is not None:
        assert read_usual(header) == (("application/json", event_type, source), event_id, moment)
    assert read_properties(header) == Properties(
        content_type="application/json",
        delivery_mode=2,
        message_id=event_id,
        timestamp=moment,
        message_type=event_type,
        app_id=source,
    )


USUAL = written("evt_1", "order.created", "shop", datetime(2025, 2, 15, tzinfo=UTC))


@pytest.mark.parametrize("read", [read_properties, read_usual])
@pytest.mark.parametrize("header", [*(USUAL[:end] for end in range(len(USUAL))), USUAL + b"\0"])
def test_properties_that_are_cut_off_or_too_long_are_refused(header: bytes, read: Callable[[bytes], object]):
    if len(header) < 2 and read is read_usual:
        assert read(header) is None, "nothing says that they are the usual ones"
        return
    with pytest.raises(BadProperties):
        read(header)


@given(st.integers(2, len(USUAL) - 1), st.binary(min_size=1, max_size=3))
def test_damaged_properties_are_read_or_refused_and_nothing_else(at: int, damage: bytes):
    header = USUAL[:at] + damage + USUAL[at + 1 :]
    try:
        read = read_properties(header)
    except BadProperties:
        with pytest.raises(BadProperties):
            read_usual(header)
    else:
        lasting = read.content_type, read.message_type, read.app_id
        assert read_usual(header) == (lasting, read.message_id, read.timestamp)
