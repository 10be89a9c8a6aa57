"""What the payment service can be told by its environment."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    database: str
    """PAYMENT_DATABASE: the path of its SQLite file."""
    gateway_url: str
    """GATEWAY_URL: where the payment gateway listens."""
    gateway_timeout: float
    """GATEWAY_TIMEOUT: seconds that one call of the gateway may take."""

    @classmethod
    def from_environment(cls) -> Settings:
        return cls(
            database=os.environ.get("PAYMENT_DATABASE", "payment.db"),
            gateway_url=os.environ.get("GATEWAY_URL", "http://127.0.0.1:8091"),
            gateway_timeout=float(os.environ.get("GATEWAY_TIMEOUT", "10")),
        )
