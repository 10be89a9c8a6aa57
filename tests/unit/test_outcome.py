from __future__ import annotations

from eventbus.outcome import Reason


def test_the_reasons_are_those_of_the_contract_and_never_change():
    assert [str(reason) for reason in Reason] == [
        "undecodable",
        "content-type",
        "invalid-envelope",
        "unknown-type",
        "unsupported-version",
        "invalid-data",
        "forged",
        "exhausted",
        "rejected",
        "delivery-limit",
    ]
