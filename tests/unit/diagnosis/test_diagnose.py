"""All checks together."""

from __future__ import annotations

from dataclasses import replace

from eventbus.diagnosis import CHECKS, diagnose
from eventbus.diagnosis import broker as of_broker
from eventbus.diagnosis import store as of_store
from eventbus.diagnosis import subscriptions as of_subscriptions
from tests.unit.diagnosis.patients import WELL, facts, queue


def test_where_all_is_well_nothing_is_found():
    assert list(diagnose(facts())) == []


def test_the_worst_is_told_first():
    found = diagnose(
        facts(
            report=replace(WELL, alarms=("disk alarm on rabbit@one",), unknown={"feature flags": "401"}),
            before=(queue(dead=3),),
            queues=(queue(dead=3), queue(queue="email.send", consumers=0, ready=2)),
        )
    )

    assert [finding.severity for finding in found] == ["serious", "serious", "warning", "note"]
    assert found[0].what.startswith("disk alarm")


def test_every_check_is_asked():
    written = {
        check
        for module in (of_broker, of_store, of_subscriptions)
        for name, check in vars(module).items()
        if not name.startswith("_") and getattr(check, "__annotations__", {}).get("facts") == "Facts"
    }
    assert written == set(CHECKS)
