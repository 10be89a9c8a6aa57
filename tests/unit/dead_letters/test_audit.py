from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from eventbus.dead_letters.audit import AuditLog
from eventbus.transport import DeadLetterEntry, Message

LETTER = DeadLetterEntry.of(Message(b"{}", "order.created", event_id="evt_1"))


async def test_a_line_that_was_cut_off_spoils_none_behind_it(tmp_path: Path):
    path = tmp_path / "audit.jsonl"
    audit = AuditLog.at(path, "ann")
    await audit.write("discard", "payment.charge", [LETTER], "why not")
    path.write_bytes(path.read_bytes() + b'{"at": "20')  # a full disk, or kill -9

    await audit.write("discard", "payment.charge", [LETTER], "again")

    first, torn, second = path.read_text().splitlines()
    assert torn == '{"at": "20'
    assert [json.loads(line)["why"] for line in (first, second)] == ["why not", "again"]
    assert datetime.fromisoformat(json.loads(second)["at"]).tzinfo == UTC
