"""The onion around every handler: each layer one file, their order one list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from eventbus.context import Proceed
from eventbus.middleware.logging import log_failures
from eventbus.middleware.timeout import limit_time
from eventbus.service import Member

Middleware = Callable[[Member, Proceed], Proceed]
"""One layer, made for one subscription when its worker starts: what it returns calls `proceed(context)` once,
and may do something before, after or instead."""

DEFAULT: Final[tuple[Middleware, ...]] = (
    log_failures,
    limit_time,
)
"""From the outside in."""


def compose(layers: Sequence[Middleware], member: Member, innermost: Proceed) -> Proceed:
    """The layers as one function around `innermost`."""
    for layer in reversed(layers):
        innermost = layer(member, innermost)
    return innermost
