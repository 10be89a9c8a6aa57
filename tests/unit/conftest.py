from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def structlog_as_found() -> Iterator[None]:
    """What one test configures, `capture_logs` included, must not decide where the logs of the next go."""
    found = structlog.get_config() if structlog.is_configured() else None
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()
    if found is not None:
        structlog.configure(**found)
