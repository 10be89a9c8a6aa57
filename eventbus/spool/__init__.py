"""The spool: a local, durable, bounded place for events while the broker is away.

It is an outbox in a SQLite file of its own, which the outbox's relay drains when the broker is back.
"""

from eventbus.spool.spool import Spool
from eventbus.spool.waiting import SpoolLimits

__all__ = ["Spool", "SpoolLimits"]
