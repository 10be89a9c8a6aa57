"""What the email service can be told by its environment."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    host: str
    """SMTP_HOST: the mail server."""
    port: int
    """SMTP_PORT."""
    timeout: float
    """SMTP_TIMEOUT: seconds that handing over one mail may take."""

    @classmethod
    def from_environment(cls) -> Settings:
        return cls(
            host=os.environ.get("SMTP_HOST", "127.0.0.1"),
            port=int(os.environ.get("SMTP_PORT", "1025")),
            timeout=float(os.environ.get("SMTP_TIMEOUT", "10")),
        )
