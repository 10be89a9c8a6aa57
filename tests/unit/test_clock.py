from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from eventbus.clock import SystemClock


def test_the_systems_clock_tells_the_time_in_utc():
    before = datetime.now(UTC)
    now = SystemClock().now()
    assert now.utcoffset() == timedelta(0)
    assert before <= now <= datetime.now(UTC)


async def test_the_systems_clock_sleeps_as_long_as_told():
    loop = asyncio.get_running_loop()
    began = loop.time()
    await SystemClock().sleep(0.05)
    assert loop.time() - began >= 0.05
