"""How fast dead letters are redriven."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from eventbus.pace import SLOWEST, Pace


class StillClock:
    """Moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.moment = datetime(2025, 2, 15, tzinfo=UTC)
        self.slept = 0.0

    def now(self) -> datetime:
        return self.moment

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.moment += timedelta(seconds=seconds)


async def test_no_more_than_the_rate_go_in_any_second():
    clock = StillClock()
    pace = Pace(10, clock)

    for _ in range(50):
        await pace.wait(pace.batch)

    assert clock.slept == pytest.approx((50 - 1) * pace.batch / 10)


async def test_time_that_was_lost_is_not_made_up_for():
    clock = StillClock()
    pace = Pace(1, clock)
    await pace.wait(1)
    clock.moment += timedelta(seconds=60)
    await pace.wait(1)
    await pace.wait(1)

    assert clock.slept == pytest.approx(1)


async def test_without_a_rate_nobody_waits():
    clock = StillClock()
    pace = Pace(None, clock)
    for _ in range(1000):
        await pace.wait(pace.batch)

    assert clock.slept == 0


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf"), 1e-300])
def test_a_rate_that_would_never_end_and_one_that_is_none_are_refused(rate: float):
    with pytest.raises(ValueError, match="rate"):
        Pace(rate, StillClock())


@pytest.mark.parametrize("rate", [SLOWEST, 1e300])
async def test_the_slowest_and_the_fastest_rate_can_be_kept(rate: float):
    clock = StillClock()
    pace = Pace(rate, clock)
    await pace.wait(pace.batch)
    await pace.wait(pace.batch)

    assert clock.slept == pytest.approx(pace.batch / rate)
