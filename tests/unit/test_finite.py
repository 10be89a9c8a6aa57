"""Numbers that JSON has not do not become null, wherever in an event they are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel

from eventbus import Envelope, Event
from eventbus.codec import Codec
from eventbus.errors import InvalidEvent

NOON = datetime(2025, 2, 15, 12, tzinfo=UTC)


class Line(BaseModel):
    price: float
    note: str | None = None


class Basket(BaseModel):
    lines: list[Line] = []
    by_name: dict[str, Line] = {}


@dataclass
class Weight:
    kilos: float


class Sold(Event, type="shop.sold"):
    """With anything that may hold a number."""

    number: float = 0.0
    line: Line | None = None
    basket: Basket | None = None
    pair: tuple[Line, ...] = ()
    weight: Weight | None = None
    anything: Any = None


def body(event: Event) -> bytes:
    return Codec().encode(Envelope.wrap(event, event_id="evt_1", timestamp=NOON)).body


def hidden(number: float) -> dict[str, tuple[dict[str, Any], str]]:
    """By a name: the fields of an event, and the path at which the number stands."""
    line = Line(price=number)
    return {
        "a model": ({"line": line}, "data.line.price"),
        "a list in a model": ({"basket": Basket(lines=[Line(price=1), line])}, "data.basket.lines[1].price"),
        "a dict": ({"basket": Basket(by_name={"a": line})}, "data.basket.by_name.a.price"),
        "a tuple": ({"pair": (line,)}, "data.pair[0].price"),
        "anything": ({"anything": {"line": [line]}}, "data.anything.line[0].price"),
        "a dataclass": ({"weight": Weight(number)}, "data.weight.kilos"),
        "a number": ({"anything": number}, "data.anything"),
    }


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", hidden(0.0))
def test_it_is_refused_with_its_path(where: str, number: float):
    fields, path = hidden(number)[where]
    with pytest.raises(InvalidEvent, match="finite") as refused:
        body(Sold(**fields))
    assert refused.value.field == path


def test_data_by_name_may_hold_a_model_too():
    envelope = Envelope(
        event_id="evt_1",
        event_type="shop.sold",
        timestamp=NOON,
        version="1.0",
        data={"line": Line(price=math.nan)},
    )
    with pytest.raises(InvalidEvent) as refused:
        Codec().encode(envelope)
    assert refused.value.field == "data.line.price"


def test_what_is_none_may_be_null():
    event = Sold(line=Line(price=1.5), basket=Basket(lines=[Line(price=2)]), anything=[None, "NaN"])
    assert b'"note":null' in body(event)
