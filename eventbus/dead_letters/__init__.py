"""Dead letters that an operator can work with: look, group, redrive, mend, discard.

    letters = DeadLetters(bus.transport, "payment.charge_order")
    await letters.redrive(Selection(error="*timeout*"), limit=5)

They lie in the queue `<subscription>.dead`, on every transport. Looking hands them out and gives them back as
they were; whatever removes one does so after the confirmed copy of it, or after the line in the audit log.
"""

from __future__ import annotations

from eventbus.dead_letters.audit import AuditLog
from eventbus.dead_letters.editing import Correction, correct, data_of
from eventbus.dead_letters.export import as_json
from eventbus.dead_letters.grouping import Group, Groups, fingerprint
from eventbus.dead_letters.identity import id_of
from eventbus.dead_letters.letters import DeadLetters
from eventbus.dead_letters.masking import NOTHING_SECRET, masked
from eventbus.dead_letters.moving import Moved
from eventbus.dead_letters.selection import EVERYTHING, Selection

__all__ = [
    "EVERYTHING",
    "NOTHING_SECRET",
    "AuditLog",
    "Correction",
    "DeadLetters",
    "Group",
    "Groups",
    "Moved",
    "Selection",
    "as_json",
    "correct",
    "data_of",
    "fingerprint",
    "id_of",
    "masked",
]
