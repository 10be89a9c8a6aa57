"""Text that every database can hold."""

from __future__ import annotations


def storable(value: str) -> str:
    """PostgreSQL has no NUL in a text, and UTF-8 no lone surrogate; somebody else's id may have them."""
    return value if value.isprintable() else value.encode("unicode_escape").decode()
