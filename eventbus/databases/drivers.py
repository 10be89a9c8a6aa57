"""Drivers that are installed only where they are asked for."""

from __future__ import annotations

from importlib.util import find_spec

from eventbus.errors import ConfigurationError


def require(driver: str, extra: str, what: str) -> None:
    """Raises `ConfigurationError` where it is not installed; `what` needs it, in a word for people."""
    if find_spec(driver) is None:
        raise ConfigurationError(
            f"this {what} needs {driver}, which is not installed: pip install 'eventbus[{extra}]'."
        )
