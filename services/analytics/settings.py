"""What the analytics service can be told by its environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Settings:
    database: str
    """ANALYTICS_DATABASE: the path of its SQLite file, which is the bus's store too."""

    @classmethod
    def from_environment(cls) -> Settings:
        return cls(database=os.environ.get("ANALYTICS_DATABASE", "analytics.db"))

    @property
    def store(self) -> str:
        """Entries and what was handled lie in one database, so that they commit together."""
        return f"sqlite:///{quote(self.database)}"
