"""The onion around every handler: each layer one file, their order one list."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Final

from eventbus.context import Context, Run
from eventbus.middleware.logging import log_failures
from eventbus.middleware.timeout import limit_time
from eventbus.service import Member

Proceed = Callable[[Context], Run]
"""The rest of the onion; returns when the handler has succeeded, raises its error otherwise."""

Middleware = Callable[[Context, Proceed], Run]
"""One layer: calls `proceed(context)` once, and may do something before, after or instead."""

MakeMiddleware = Callable[[Member], Middleware]
"""Compiles a layer for one subscription, when its worker starts."""

DEFAULT: Final[tuple[MakeMiddleware, ...]] = (
    log_failures,
    limit_time,
)
"""From the outside in."""


def compose(layers: Sequence[Middleware], innermost: Proceed) -> Proceed:
    """The layers as one function around `innermost`."""

    def around(proceed: Proceed, layer: Middleware) -> Proceed:
        return lambda context: layer(context, proceed)

    return functools.reduce(around, reversed(layers), innermost)
