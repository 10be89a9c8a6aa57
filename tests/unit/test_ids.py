from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from eventbus.ids import derived_event_id, new_event_id

NOON = datetime(2025, 2, 15, 12, tzinfo=UTC)


def as_uuid(event_id: str) -> uuid.UUID:
    assert re.fullmatch(r"evt_[0-9a-f]{32}", event_id)
    return uuid.UUID(event_id.removeprefix("evt_"))


def test_a_new_event_id_is_a_uuid_of_version_7():
    made = as_uuid(new_event_id())
    assert (made.version, made.variant) == (7, uuid.RFC_4122)


def test_new_event_ids_differ_and_sort_by_the_time_they_were_made():
    made = [new_event_id() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert made == sorted(made)


def test_the_same_cause_handler_and_ordinal_give_the_same_id():
    assert derived_event_id("evt_1", NOON, "payment.charge", 0) == derived_event_id(
        "evt_1", NOON, "payment.charge", 0
    )


def test_another_cause_handler_or_ordinal_gives_another_id():
    ids = {
        derived_event_id("evt_1", NOON, "payment.charge", 0),
        derived_event_id("evt_2", NOON, "payment.charge", 0),
        derived_event_id("evt_1", NOON, "email.notify", 0),
        derived_event_id("evt_1", NOON, "payment.charge", 1),
    }
    assert len(ids) == 4


@given(
    st.text(max_size=300), st.datetimes(timezones=st.just(UTC)), st.text(max_size=200), st.integers(0, 10**6)
)
def test_a_derived_id_has_the_form_of_a_uuid_of_version_7(
    cause: str, at: datetime, handler: str, ordinal: int
):
    made = as_uuid(derived_event_id(cause, at, handler, ordinal))
    assert (made.version, made.variant) == (7, uuid.RFC_4122)


def test_a_derived_id_carries_the_time_of_its_cause():
    made = as_uuid(derived_event_id("evt_1", NOON, "payment.charge", 0))
    assert made.int >> 80 == int(NOON.timestamp() * 1000)
