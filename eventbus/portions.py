"""What is much is handed on in portions that any disk, server and memory can take in bounded time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

Item = TypeVar("Item")

_ENOUGH: Final = 8 * 1024**2
"""Bytes; a portion ends with the item that makes it as large."""


def portions(items: Iterable[Item], size: Callable[[Item], int]) -> Iterator[list[Item]]:
    """All items in their order, at least one in each portion. Takes none beyond the portion that it gives.

    `size`: of an item, in bytes.
    """
    portion: list[Item] = []
    so_far = 0
    for item in items:
        portion.append(item)
        so_far += size(item)
        if so_far >= _ENOUGH:
            yield portion
            portion, so_far = [], 0
    if portion:
        yield portion
