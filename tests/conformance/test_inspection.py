"""What a broker says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conformance import drive
from tests.conformance.drive import CHARGE, CHARGE_ALONE

if TYPE_CHECKING:
    from eventbus.transport import Transport


async def test_a_broker_that_is_well_says_what_it_is_and_has_no_alarms(transport: Transport) -> None:
    report = await transport.inspect()

    assert report.product in ("RabbitMQ", "SQLite")
    assert report.version[0].isdigit()
    assert not report.is_too_old
    assert report.alarms == ()
    assert report.held_up == ()
    assert all(report.features.values())
    assert report.unknown == {}


async def test_the_clock_of_a_broker_on_this_machine_is_not_off(transport: Transport) -> None:
    ahead = (await transport.inspect()).clock_ahead
    assert ahead is not None
    assert abs(ahead) < 5.0  # a busy server tells an old date; doctor warns from here on


async def test_the_limit_of_handling_is_that_of_the_report(transport: Transport) -> None:
    assert transport.handling_limit is None or transport.handling_limit > 0
    assert (await transport.inspect()).handling_limit == transport.handling_limit


async def test_being_asked_changes_nothing(transport: Transport) -> None:
    await transport.apply(CHARGE_ALONE)
    await drive.send(transport, drive.a_message())

    await transport.inspect()

    async with transport.consume(CHARGE, prefetch=1) as consumption:
        await drive.collect(consumption, 1)
