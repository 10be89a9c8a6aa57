"""What the warehouse service can be told by its environment."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    database: str
    """WAREHOUSE_DATABASE: the path of its SQLite file."""
    latency: float
    """WAREHOUSE_LATENCY: seconds that reserving takes beside its real work; 0 unless demonstrated."""

    @classmethod
    def from_environment(cls) -> Settings:
        return cls(
            database=os.environ.get("WAREHOUSE_DATABASE", "warehouse.db"),
            latency=float(os.environ.get("WAREHOUSE_LATENCY", "0")),
        )
