import pytest

from bench.peers.cases import Case, Side
from bench.peers.job import Job, Result
from bench.peers.rounds import Unavailable, measure


def case(*names: str, rate: int = 0) -> Case:
    return Case("work", names[0], tuple(Side(name, Job(name, "consume", "")) for name in names), rate=rate)


def test_a_run_that_was_too_short_does_not_count() -> None:
    machine = Machine(a=1_000_000)
    [mine] = measure(case("a"), 1, 2.0, machine.run, ()).sides.values()
    assert [result.seconds >= 1.6 for result in mine.results] == [True]
    assert [count for _, count in machine.ran] == pytest.approx([1_500, 30_000, 600_000, 2_300_000], rel=0.01)


class Machine:
    """Runs every side at its speed, and remembers in which order."""

    def __init__(self, **speeds: float) -> None:
        self.ran: list[tuple[str, int]] = []
        self._speeds = speeds

    def run(self, side: Side) -> Result:
        if not (speed := self._speeds[side.name]):
            raise Unavailable("there is no compiler")
        self.ran.append((side.name, side.job.count))
        if speed < 0:
            raise RuntimeError("the broker went away")
        return Result(side.job.count, 0, side.job.count / speed, 0.0)


def test_the_order_rotates_and_the_first_round_is_not_counted() -> None:
    machine = Machine(a=1000, b=1000, c=1000)
    outcome = measure(case("a", "b", "c"), 2, 1.0, machine.run, ())
    assert [name for name, _ in machine.ran] == list("cab" + "abc" + "bca")
    assert [len(side.rounds) for side in outcome.sides.values()] == [2, 2, 2]


def test_each_side_gets_as_many_events_as_take_it_the_time_that_is_wanted() -> None:
    machine = Machine(slow=500, fast=5_000)
    measure(case("slow", "fast"), 1, 3.0, machine.run, ())
    assert [name for name, _ in machine.ran] == ["fast", "slow", "slow", "fast"]
    assert [count / 3.0 for _, count in machine.ran[2:]] == pytest.approx([575, 5_750], rel=0.01)


def test_at_a_fixed_rate_the_time_decides() -> None:
    machine = Machine(a=7)
    measure(case("a", rate=500), 1, 3.0, machine.run, ())
    assert machine.ran[-1] == ("a", 1500)


def test_a_side_that_cannot_run_here_says_why() -> None:
    outcome = measure(case("a", "c"), 2, 1.0, Machine(a=1000, c=0).run, ())
    assert outcome.sides["c"].trouble == "not available: there is no compiler"
    assert outcome.sides["c"].rounds == []


def test_a_side_that_fails_leaves_the_others_alone() -> None:
    outcome = measure(case("a", "b"), 2, 1.0, Machine(a=1000, b=-1).run, (RuntimeError,))
    assert outcome.sides["b"].trouble == "failed: the broker went away"
    assert len(outcome.sides["a"].results) == 2
