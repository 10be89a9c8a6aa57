"""Numbers of things, as a person reads them."""

from __future__ import annotations


def many(count: int, one: str, more: str | None = None) -> str:
    """`1 queue`, `3 queues`."""
    return f"{count} {one if count == 1 else more or f'{one}s'}"
