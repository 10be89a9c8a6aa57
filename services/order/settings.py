"""What the order service can be told by its environment."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Latencies:
    """Seconds that each step takes here beside its real work: ORDER_LATENCY_<STEP>; 0 unless demonstrated.

    The payment gateway and the mail server have latencies of their own.
    """

    validate: float = 0.0
    inventory: float = 0.0
    database: float = 0.0
    invoice: float = 0.0
    warehouse: float = 0.0
    analytics: float = 0.0

    @classmethod
    def from_environment(cls) -> Latencies:
        return cls(*(float(os.environ.get(f"ORDER_LATENCY_{f.name.upper()}", "0")) for f in fields(cls)))


@dataclass(frozen=True, slots=True)
class Settings:
    database: str
    """ORDER_DATABASE: the path of its SQLite file."""
    host: str
    """ORDER_HOST: the address that the API listens on."""
    port: int
    """ORDER_PORT."""
    held_for: float
    """ORDER_HELD_FOR: seconds that a request may hold an order, until it is published without it."""
    gateway_url: str
    """GATEWAY_URL, for `?mode=deferred` and `?mode=sync`."""
    gateway_timeout: float
    """GATEWAY_TIMEOUT: seconds that one call of the gateway may take."""
    smtp_host: str
    """SMTP_HOST, for `?mode=sync`."""
    smtp_port: int
    """SMTP_PORT."""
    smtp_timeout: float
    """SMTP_TIMEOUT: seconds that handing over one mail may take."""
    latencies: Latencies

    @property
    def store(self) -> str:
        """The database as the URL of the bus's store: an order and its event are in one file."""
        return f"sqlite:///{quote(self.database)}"

    @classmethod
    def from_environment(cls) -> Settings:
        read = os.environ.get
        return cls(
            database=read("ORDER_DATABASE", "order.db"),
            host=read("ORDER_HOST", "127.0.0.1"),
            port=int(read("ORDER_PORT", "8000")),
            held_for=float(read("ORDER_HELD_FOR", "60")),
            gateway_url=read("GATEWAY_URL", "http://127.0.0.1:8091"),
            gateway_timeout=float(read("GATEWAY_TIMEOUT", "10")),
            smtp_host=read("SMTP_HOST", "127.0.0.1"),
            smtp_port=int(read("SMTP_PORT", "1025")),
            smtp_timeout=float(read("SMTP_TIMEOUT", "10")),
            latencies=Latencies.from_environment(),
        )
