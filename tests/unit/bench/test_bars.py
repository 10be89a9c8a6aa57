import pytest

from bench.peers.bars import BARS, Bar, cpu, judge, percentile
from bench.peers.cases import Case, everything, peers
from bench.peers.job import Result
from bench.peers.rounds import Measured, Outcome


def result(rate: float, *, cpu: float = 10.0, p50: float = 1.0) -> Result:
    return Result(1000, 1000, 1000 / rate, cpu * 1000 / 1e6, {"p50": p50, "p99": 3 * p50, "p99.9": 9 * p50})


def outcome(title: str, **sides: list[Result | None]) -> Outcome:
    measured = {
        name.replace("_", ", "): Measured(name.replace("_", ", "), rounds) for name, rounds in sides.items()
    }
    return Outcome(Case(title, "raw", ()), measured)


def test_a_bar_is_met_by_the_median_of_the_ratios_of_same_rounds() -> None:
    # The machine was slow in the second round, for both.
    ours: list[Result | None] = [result(4000), result(400), result(3900)]
    raw: list[Result | None] = [result(1000), result(100), result(1000)]
    [judged] = judge([outcome("work", ours=ours, raw=raw)], [Bar("work", "ours", 3.5, "raw")])
    assert judged.verdict == "met"
    assert judged.value == pytest.approx(4.0)


def test_a_ratio_below_its_bar_is_missed() -> None:
    [judged] = judge(
        [outcome("work", ours=[result(3000)], raw=[result(1000)])], [Bar("work", "ours", 3.5, "raw")]
    )
    assert judged.verdict == "missed"


def test_a_round_in_which_one_of_two_failed_gives_no_ratio() -> None:
    measured = outcome("work", ours=[result(2000), result(9000)], raw=[result(1000), None])
    [judged] = judge([measured], [Bar("work", "ours", 1.0, "raw")])
    assert judged.value == pytest.approx(2.0)


def test_a_bar_against_a_client_with_several_ways_is_against_its_fastest() -> None:
    measured = outcome("work", ours=[result(6000)], Celery_solo=[result(1000)], Celery_prefork=[result(2000)])
    [judged] = judge([measured], [Bar("work", "ours", 1.0, "Celery")])
    assert judged.value == pytest.approx(3.0)


def test_a_latency_must_not_exceed_its_bar() -> None:
    measured = outcome("work", ours=[result(500, p50=0.8)], raw=[result(500, p50=1.0)])
    bars = [Bar("work", "ours", limit, "raw", percentile("p50"), is_most=True) for limit in (0.9, 0.7)]
    assert [judged.verdict for judged in judge([measured], bars)] == ["met", "missed"]


def test_cpu_is_judged_alone_in_microseconds() -> None:
    [judged] = judge(
        [outcome("work", ours=[result(500, cpu=11.0)])], [Bar("work", "ours", 12, figure=cpu, is_most=True)]
    )
    assert judged.value == pytest.approx(11.0)
    assert judged.verdict == "met"


def test_what_did_not_run_is_not_measured() -> None:
    assert {judged.verdict for judged in judge([])} == {"not measured"}


@pytest.mark.parametrize("bar", BARS, ids=str)
def test_every_bar_names_a_side_of_a_case_that_all_and_peers_run(bar: Bar) -> None:
    for program in (everything(), peers()):
        [case] = [case for case in program if case.title == bar.case]
        names = [side.name for side in case.sides]
        assert bar.side in names
        assert not bar.against or any(name.split(",")[0] == bar.against for name in names)
