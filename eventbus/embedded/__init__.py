"""The `Transport` port on one SQLite file, or in memory: the same services with no server to install.

transport → publishing → sending → routing      a message comes in, is logged and routed, or put off
transport → consumer → queueing                 a delivery is claimed under a lease, and settled
engine, writer, transaction                     one thread writes; what waits together commits together
watch, due, session                             who is woken when; who is alive
"""

from __future__ import annotations

from eventbus.embedded.options import EmbeddedOptions
from eventbus.embedded.transport import EmbeddedTransport
from eventbus.embedded.url import path_from_url

__all__ = ["EmbeddedOptions", "EmbeddedTransport", "path_from_url"]
