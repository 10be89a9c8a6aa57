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
