"""The front door: `import eventbus`."""

from __future__ import annotations

import subprocess
import sys

import pytest

import eventbus


def test_every_public_name_is_there() -> None:
    for name in eventbus.__all__:
        assert getattr(eventbus, name).__name__ == name


def test_every_public_name_is_offered_by_dir() -> None:
    assert set(eventbus.__all__) <= set(dir(eventbus))


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Publisher'"):
        _ = eventbus.Publisher  # type: ignore[attr-defined]


def test_a_module_of_events_imports_neither_the_bus_nor_a_driver() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, schemas.order; print(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert "eventbus.event" in loaded
    assert not {"eventbus.bus", "eventbus.worker", "aio_pika", "structlog"} & set(loaded)


def test_no_driver_is_imported_before_a_url_asks_for_it() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys; from eventbus import *; print(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert "eventbus.bus" in loaded
    assert not {"aio_pika", "sqlite3", "structlog", "eventbus.embedded"} & set(loaded)
