"""What a broker says of itself, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator

from eventbus.broker_report import BrokerConnection, BrokerReport


def short_json(report: BrokerReport) -> dict[str, object]:
    """What stands in the way of events; null where the broker does not tell."""
    return {
        "product": report.product,
        "version": report.version,
        "alarms": None if report.alarms is None else list(report.alarms),
        "held_up": None if report.connections is None else [_connection(each) for each in report.held_up],
    }


def whole_json(report: BrokerReport) -> dict[str, object]:
    """All that is known; times in seconds."""
    return short_json(report) | {
        "oldest_version": report.oldest_version,
        "handling_limit": report.handling_limit,
        "clock_ahead": report.clock_ahead,
        "connections": None
        if report.connections is None
        else [_connection(each) for each in report.connections],
        "features": dict(report.features),
        "management": report.management,
        "unknown": dict(report.unknown),
    }


def troubles(report: BrokerReport) -> Iterator[str]:
    """A line for each alarm and each connection that the broker takes nothing from."""
    for alarm in report.alarms or ():
        yield f"{alarm}: nobody can publish (eventbus doctor says what to do)"
    for each in report.held_up:
        yield f"connection {each.name} of user {each.user} is {each.state}"


def _connection(connection: BrokerConnection) -> dict[str, object]:
    return {
        "name": connection.name,
        "user": connection.user,
        "state": connection.state,
        "purpose": connection.purpose,
    }
