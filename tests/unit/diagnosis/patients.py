"""Facts in which all is well, and what a test changes about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from eventbus import Service, subscribe
from eventbus.broker_report import BrokerReport
from eventbus.diagnosis import Facts, Finding
from eventbus.transport import QueueStats

WELL = BrokerReport(
    "RabbitMQ", "3.10.8", "3.10", handling_limit=1800.0, features={"quorum_queue": True}, management=True
)
TARGETS = ("shop:payment",)


def queue(**changes: Any) -> QueueStats:
    well = QueueStats(
        queue="payment.charge", ready=0, in_flight=0, delayed=0, dead=0, oldest_age=None, consumers=1
    )
    return replace(well, **changes)


def payment(**options: Any) -> Service:
    def charge(event: dict[str, Any]) -> None:
        pass

    def charge_many(events: list[dict[str, Any]]) -> None:
        pass

    handler: Callable[..., None] = charge_many if "batch" in options else charge
    return Service("payment", [subscribe("order.created", name="charge", **options)(handler)])


def facts(**changes: Any) -> Facts:
    well = Facts(WELL, services=(payment(),), targets=TARGETS, before=(queue(),), queues=(queue(),))
    return replace(well, **changes)


def report(**changes: Any) -> Facts:
    return facts(report=replace(WELL, **changes))


def only(findings: Iterator[Finding]) -> Finding:
    (finding,) = findings
    return finding
