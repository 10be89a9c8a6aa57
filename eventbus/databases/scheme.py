"""What a URL begins with."""

from __future__ import annotations

from typing import Final

_LETTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789+-.")


def scheme_of(url: str) -> str:
    """In lower case; empty where there is none.

    Fit for messages. What stands behind it is not looked at: nobody has checked yet that it can be read, and
    the standard library's errors quote it with its password.
    """
    scheme, found, _ = url.lower().partition(":")
    return scheme if found and _LETTERS.issuperset(scheme) else ""
