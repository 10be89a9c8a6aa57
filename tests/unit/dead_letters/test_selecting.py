"""Which dead letters are meant, what belongs together, and what they are called."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from eventbus.dead_letters import EVERYTHING, Groups, Selection, as_json, fingerprint, id_of
from eventbus.errors import ConfigurationError
from eventbus.transport import DeadLetterEntry, Message

NOON = datetime(2025, 2, 15, 12, tzinfo=UTC)


def dead(
    error: str = "Boom: 1",
    *,
    id: str | None = "evt_1",
    key: str = "order.created",
    died_at: datetime | None = NOON,
    body: bytes = b"{}",
) -> DeadLetterEntry:
    return DeadLetterEntry(Message(body, key, event_id=id), "exhausted", error, 5, NOON, died_at)


@pytest.mark.parametrize(
    ("selection", "is_meant"),
    [
        (EVERYTHING, True),
        (Selection(ids=frozenset({"evt_1", "evt_2"})), True),
        (Selection(ids=frozenset({"evt_2"})), False),
        (Selection(error="Boom*"), True),
        (Selection(error="Boom"), False),
        (Selection(type="order.*"), True),
        (Selection(type="payment.#"), False),
        (Selection(died_before=NOON + timedelta(seconds=1)), True),
        (Selection(died_before=NOON), False),
        (Selection(died_after=NOON - timedelta(seconds=1)), True),
        (Selection(died_after=NOON), False),
        (Selection(error="Boom*", type="payment.*"), False),
        (Selection(fingerprint=fingerprint(dead("Boom: 2"))), True),
        (Selection(fingerprint="00000000"), False),
    ],
)
def test_all_that_is_given_must_hold(selection: Selection, is_meant: bool):
    assert (dead() in selection) is is_meant


def test_a_dead_letter_of_unknown_age_is_of_no_age():
    assert dead(died_at=None) not in Selection(died_before=NOON)
    assert dead(died_at=None) not in Selection(died_after=NOON)
    assert dead(died_at=None) in EVERYTHING


def test_a_type_that_can_match_nothing_is_refused():
    with pytest.raises(ConfigurationError):
        Selection(type="order..*")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("no answer within 5.0 s", "no answer within 12.5 s"),
        ("order 17 of evt_0190f6d1", "order 4 of evt_77ab12"),
        ("no such card '4711'", "no such card 'x y'"),
        ('field "a" of 3', 'field "b" of 4'),
        ("row 6f1c2a3e-1111-4222-8333-444455556666", "row 00000000-1111-4222-8333-999955556666"),
        ("at 2025-02-15T10:00:00Z", "at 2026-11-01T00:30:59Z"),
        ("object at 0x7f00aa", "object at 0x1"),
    ],
)
def test_errors_that_differ_in_values_only_are_of_one_group(one: str, other: str):
    assert fingerprint(dead(one)) == fingerprint(dead(other))


@pytest.mark.parametrize("other", ["Timeout: no answer", "Boom: no one"])
def test_other_errors_are_of_other_groups(other: str):
    assert fingerprint(dead(other)) != fingerprint(dead("Boom: 1"))


def test_an_event_type_and_a_reason_make_a_group_of_their_own():
    assert fingerprint(dead(key="order.paid")) != fingerprint(dead(key="order.created"))


def test_groups_are_counted_with_their_first_and_last_time():
    groups = Groups()
    for entry in (dead(died_at=None), dead("Other"), dead(died_at=NOON + timedelta(1)), dead()):
        groups.add(entry)

    first, second = groups.largest_first()

    assert (first.count, first.first_seen, first.last_seen) == (3, NOON, NOON + timedelta(1))
    assert (second.count, second.error) == (1, "Other")


def test_a_message_without_an_id_property_has_that_of_its_body():
    assert id_of(Message(b'{"event_id": "evt_9"}', "order.created")) == "evt_9"


@pytest.mark.parametrize("body", [b"", b"\xff\x00", b"[1]", b'{"event_id": "\\u001b[31m"}', b"[" * 100_000])
def test_what_has_no_usable_id_is_named_after_its_bytes(body: bytes):
    assert id_of(Message(body, "order.created")) == id_of(Message(body, "order.paid"))
    assert id_of(Message(body, "order.created")).startswith("body-")


def test_an_id_that_commands_a_terminal_is_never_shown():
    assert id_of(Message(b"{}", "order.created", event_id="evt_\x1b[2J")).startswith("body-")


def test_a_body_that_is_no_text_is_exported_as_base64():
    exported = as_json(dead(body=b"\xff"), "payment.charge")

    assert exported["body_base64"] == "/w=="
    assert "body" not in exported
