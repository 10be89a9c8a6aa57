"""Event ids: `evt_` and the 32 hex digits of a UUIDv7, so that they sort by the time they were made."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Final

from uuid_utils import uuid7

PREFIX: Final = "evt_"


def new_event_id() -> str:
    return PREFIX + uuid7().hex


def derived_event_id(cause: str, caused_at: datetime, handler: str, ordinal: int) -> str:
    """The id of the `ordinal`-th event that `handler` publishes on account of the event `cause`.

    A handler that runs again after a crash publishes the same ids again, so that its subscribers can drop
    the copies. It has the form of a UUIDv7 (RFC 9562 §5.7): 48 bits of time, the rest from a hash.
    """
    seed = f"{cause}\0{handler}\0{ordinal}".encode()
    bits = int.from_bytes(hashlib.blake2b(seed, digest_size=16).digest())
    bits &= (1 << 80) - 1
    bits |= (int(caused_at.timestamp() * 1000) & ((1 << 48) - 1)) << 80
    bits = bits & ~(0xF << 76) | 0x7 << 76
    bits = bits & ~(0x3 << 62) | 0x2 << 62
    return f"{PREFIX}{bits:032x}"
