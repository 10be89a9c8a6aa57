"""What can be chosen about this transport."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from eventbus.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class RabbitMQOptions:
    """Times in seconds, sizes in bytes."""

    namespace: str = "events"
    """The events exchange, and the prefix of every other name that is not a subscription's own."""
    connect_timeout: float = 10.0
    answer_timeout: float = 30.0
    """For one answer of the broker: opening a channel, consuming, declaring one queue."""
    heartbeat: int = 10
    """A peer that is silent for three times as long counts as dead."""
    connection_name: str = "eventbus"
    """What the broker shows; each connection adds what it is for."""
    first_pause: float = 0.1
    """Before the first attempt to connect, or to consume, again; doubled each time, and jittered."""
    longest_pause: float = 1.0
    """So a broker that is back is found within it; a try that nobody answers costs it nothing."""
    refused_pause: float = 15.0
    """The longest after the broker has said no to a connection: a wrong password, no such virtual host."""
    confirm_window: int = 1000
    """How many messages may be on their way without a confirm, over each connection that publishes."""
    confirm_window_bytes: int = 16 * 1024 * 1024
    copy_timeout: float = 10.0
    """For the confirm of a retry or dead-letter copy."""
    delivery_limit: int = 20
    """How often the broker hands a message over again after a loss before it dead-letters it itself."""
    log_max_age: timedelta = timedelta(days=7)
    log_max_bytes: int = 5_000_000_000
    log_prefetch: int = 500
    management_url: str | None = None
    """The HTTP API, such as `http://localhost:15672`. None: port 15672 of the same host, over http."""
    management_timeout: float = 5.0

    consumer_timeout: float | None = 1800.0
    """The broker's: how long it lets a delivery be held. None: for ever."""

    def __post_init__(self) -> None:
        if self.confirm_window < 1 or self.confirm_window_bytes < 1 or self.log_prefetch < 1:
            raise ConfigurationError(
                "confirm_window, confirm_window_bytes and log_prefetch must be at least 1."
            )
        if self.log_max_age < timedelta(seconds=1):
            raise ConfigurationError("log_max_age must be at least a second, such as timedelta(days=7).")
