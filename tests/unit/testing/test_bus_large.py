"""A test bus whose settings let large events through."""

from __future__ import annotations

from eventbus import Event, Service, subscribe
from eventbus.settings import Settings
from eventbus.testing import TestBus


class ReportMade(Event, type="report.made"):
    text: str


async def test_what_is_handled_is_shown_however_large_the_settings_let_it_be():
    lengths: list[int] = []

    @subscribe(ReportMade)
    async def measure(event: ReportMade) -> None:
        lengths.append(len(event.text))

    async with TestBus(Service("reports", [measure]), settings=Settings(max_body_bytes=5_000_000)) as bus:
        await bus.publish(ReportMade(text="x" * 2_000_000))

        assert lengths == [2_000_000]
        assert (len(bus.published(ReportMade)), len(bus.envelopes())) == (1, 1)
