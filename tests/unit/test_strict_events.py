"""Events of a class that pydantic checks strictly."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from pydantic import ConfigDict

from eventbus import Envelope, Event
from eventbus.codec import Codec
from eventbus.errors import Unreadable
from eventbus.registry import Registry


def test_a_strict_class_reads_what_it_has_written():
    class Strict(Event, type="order.measured"):
        model_config = ConfigDict(strict=True)

        at: datetime
        id: UUID
        total: Decimal
        parts: tuple[int, ...]
        weight: float

    event = Strict(
        at=datetime(2025, 2, 15, tzinfo=UTC), id=UUID(int=7), total=Decimal("1.10"), parts=(1, 2), weight=0.5
    )
    envelope = Envelope.wrap(event, event_id="evt_1", timestamp=datetime(2025, 2, 15, tzinfo=UTC))
    decoded = Codec().decode(Codec().encode(envelope))

    assert Registry([Strict]).upcast(decoded, Strict).data == event
    with pytest.raises(Unreadable, match=r"data\.weight"):
        Registry([Strict]).upcast(decoded.with_(data={**decoded.data, "weight": "heavy"}), Strict)
