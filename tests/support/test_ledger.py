"""The books add up."""

from __future__ import annotations

from tests.support.ledger import Ledger

SEEN = "audit.seen"


def test_lost_is_what_was_confirmed_and_is_nowhere() -> None:
    ledger = Ledger()
    ledger.published.update(["a", "b", "c", "d", "d"])
    ledger.confirmed |= {"a", "b", "c"}
    ledger.handled[SEEN].update(["a", "a", "d"])
    ledger.dead[SEEN]["b"] += 1

    assert ledger.lost(SEEN) == {"c"}
    assert ledger.duplicates(SEEN) == 1
    assert str(ledger) == (
        "published 4 (5 tries), confirmed 3\naudit.seen: handled 2, duplicates 1, dead 1, lost 1"
    )


def entered() -> Ledger:
    """One settled with a copy, one lost, one whose confirm is still missing, one dead."""
    ledger = Ledger()
    ledger.published.update(["p.1", "p.1", "p.2", "q.1", "q.2"])
    ledger.confirmed |= {"p.1", "p.2", "q.2"}
    ledger.handled[SEEN].update(["p.1", "p.1", "q.1"])
    ledger.dead[SEEN]["q.2"] += 1
    return ledger


def test_to_forget_what_is_settled_changes_no_figure() -> None:
    ledger = entered()
    before = str(ledger)

    ledger.forget_settled(SEEN)

    assert str(ledger) == before
    assert ledger.count_of_confirmed == 3
    assert ledger.lost(SEEN) == {"p.2"}


def test_what_is_lost_dead_or_not_confirmed_yet_stays_remembered() -> None:
    ledger = entered()

    ledger.forget_settled(SEEN)

    assert set(ledger.published) == {"p.2", "q.1", "q.2"}
    assert ledger.count_remembered == 3


def test_a_copy_that_is_handled_after_its_event_was_forgotten_is_a_duplicate_and_no_event() -> None:
    ledger = entered()
    ledger.forget_settled(SEEN)

    ledger.handled[SEEN]["p.1"] += 1
    late = str(ledger)
    ledger.forget_settled(SEEN)

    assert "handled 2, duplicates 2, dead 1, lost 1" in late
    assert str(ledger) == late
    assert "p.1" not in ledger.handled[SEEN]


def test_an_event_is_forgotten_when_all_subscriptions_have_handled_it() -> None:
    ledger = Ledger()
    ledger.published["p.1"] += 1
    ledger.confirmed.add("p.1")
    ledger.handled[SEEN]["p.1"] += 1

    ledger.forget_settled(SEEN, "email.send")
    assert ledger.lost("email.send") == {"p.1"}

    ledger.handled["email.send"]["p.1"] += 1
    ledger.forget_settled(SEEN, "email.send")
    assert ledger.count_remembered == 0
    assert ledger.lost("email.send") == set()


def test_the_books_of_many_events_stay_as_small_as_those_of_few() -> None:
    ledger = Ledger()
    for number in range(1, 10_001):
        event_id = f"p.{number}"
        ledger.published[event_id] += 1
        ledger.handled[SEEN][event_id] += 1
        ledger.confirmed.add(event_id)
        if number % 100 == 0:
            ledger.forget_settled(SEEN)

    assert ledger.count_remembered == len(ledger.confirmed) == len(ledger.handled[SEEN]) == 0
    assert str(ledger) == (
        "published 10000 (10000 tries), confirmed 10000\n"
        "audit.seen: handled 10000, duplicates 0, dead 0, lost 0"
    )
