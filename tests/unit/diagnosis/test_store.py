"""Each check of the store, over what somebody has found of it."""

from __future__ import annotations

import pytest

from eventbus.diagnosis import OfAnotherBus, Severity
from eventbus.diagnosis import store as of_store
from eventbus.errors import ConfigurationError
from eventbus.store import Backlog, StoreReport, StoreUnavailable
from tests.unit.diagnosis.patients import facts, only


def away(url: str, problem: str = "it does not answer in time") -> StoreReport:
    return StoreReport(url, StoreUnavailable(url, problem))


@pytest.mark.parametrize("store", [None, StoreReport("sqlite:///eventbus.db"), StoreReport("memory://")])
def test_of_a_store_that_is_well_or_not_known_nothing_is_said(store: StoreReport | None):
    assert list(of_store.useless_store(facts(store=store))) == []
    assert list(of_store.missing_store(facts(store=store))) == []


def test_a_store_that_is_away_is_serious_and_keeps_everything_from_being_handled():
    finding = only(of_store.useless_store(facts(store=away("postgresql://shop@db/shop", "refused."))))

    assert finding.severity is Severity.SERIOUS
    assert finding.what == (
        "the store at postgresql://shop@db/shop is not available: refused; nothing is handled until it is"
    )


@pytest.mark.parametrize(
    ("url", "fix"),
    [
        ("postgresql://shop@db/shop", "psql postgresql://shop@db/shop -c 'SELECT 1'"),
        ("postgres://shop@[::1]/a b", "psql 'postgres://shop@[::1]/a b' -c 'SELECT 1'"),
        ("redis://cache:6379/0", "redis-cli -u redis://cache:6379/0 ping"),
        ("rediss://cache/0", "redis-cli -u rediss://cache/0 ping"),
        ("sqlite:///shop.db", "see who keeps its file locked"),
    ],
)
def test_the_fix_of_one_that_is_away_fits_its_kind(url: str, fix: str):
    assert fix in only(of_store.useless_store(facts(store=away(url)))).fix


def test_a_store_that_a_worker_would_refuse_is_serious_and_told_in_the_worker_s_words():
    refused = ConfigurationError("the store at postgresql://db/shop is read-only: name the primary.")

    finding = only(of_store.useless_store(facts(store=StoreReport("postgresql://db/shop", refused))))

    assert finding.severity is Severity.SERIOUS
    assert finding.what.endswith(": the store at postgresql://db/shop is read-only: name the primary")
    assert "EVENTBUS_STORE" in finding.fix


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite:///shop.db", "no process on this machine has opened it yet"),
        ("postgresql://db/shop", "no process has opened it yet"),
    ],
)
def test_a_store_that_was_named_and_is_not_there_is_worth_a_warning(url: str, words: str):
    missing = facts(store=StoreReport(url, is_missing=True))

    finding = only(of_store.missing_store(missing))

    assert finding.severity is Severity.WARNING
    assert finding.what == f"the store {url} is not there: {words}"
    assert finding.fix.endswith("eventbus run shop:payment")
    assert list(of_store.useless_store(missing)) == []


def left_for(seconds: float) -> OfAnotherBus:
    backlog = Backlog(7, 700, seconds)
    return OfAnotherBus("amqp:events:shop", backlog, "sqlite:///shop.db", "eventbus relay --once --url there")


def test_what_another_bus_has_left_for_long_is_worth_a_warning_with_the_command_that_sends_it():
    finding = only(of_store.left_by_others(facts(of_others=[left_for(7200.0)])))

    assert finding.severity is Severity.WARNING
    assert finding.what == (
        "7 events of another bus, amqp:events:shop, left in sqlite:///shop.db: "
        "nobody has sent the oldest of them on for 120 minutes"
    )
    assert finding.fix == (
        "eventbus relay --once --url there; where that bus is gone, add --of amqp:events:shop and name the "
        "broker that is to have them"
    )


def test_what_another_bus_is_about_to_send_is_its_own_affair():
    assert list(of_store.left_by_others(facts(of_others=[left_for(0.2)]))) == []
