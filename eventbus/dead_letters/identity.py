"""By which name an operator calls a dead letter, and how one is told from another."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Final, cast

from eventbus import headers
from eventbus.transport import Message

_VISIBLE: Final = re.compile(r"[\x21-\x7e]{1,255}")


def id_of(message: Message) -> str:
    """The event's id; for what has none, `body-` and a hash of its bytes, which is the same every time.

    Visible ASCII, always: it can be shown on a terminal and typed there.
    """
    for candidate in (message.event_id, _id_in(message.body) if message.event_id is None else None):
        if candidate is not None and _VISIBLE.fullmatch(candidate):
            return candidate
    return f"body-{hashlib.blake2b(message.body, digest_size=8).hexdigest()}"


def _id_in(body: bytes) -> str | None:
    """A message by another program may have its id in the body alone."""
    try:
        members: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    found = cast("dict[str, object]", members).get("event_id") if isinstance(members, dict) else None
    return found if isinstance(found, str) else None


def digest_of(message: Message) -> bytes:
    """The same for one dead letter whenever it is handed over, another one when the event failed again."""
    story = (message.event_id, message.routing_key, message.headers.get(headers.FAILED_AT))
    told = f"{story!r}{headers.attempt(message.headers)}"
    return hashlib.blake2b(told.encode(errors="replace") + message.body, digest_size=16).digest()
