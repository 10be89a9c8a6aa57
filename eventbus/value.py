"""Values that are made for every event: data classes that nobody changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def value(cls: type[T]) -> type[T]:
    """A frozen data class to the type checkers, who find whoever would change one.

    To have Python refuse it as well (`frozen=True`) makes each take three times as long to create.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)
