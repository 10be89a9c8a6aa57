"""The invoice is a PDF that a reader can find its way in."""

from __future__ import annotations

import re
from decimal import Decimal

from schemas import Line
from services.order.invoice import render
from services.order.order import Order
from services.order.progress import Progress, Status

ORDER = Order(
    order_id=12345,
    event_id="evt_1",
    user_id=7,
    total=Decimal("99.99"),
    currency="EUR",
    lines=(Line(sku="desk-lamp", quantity=2),),
    charge_id=None,
    confirmation_id=None,
    progress=Progress(),
    status=Status.PROCESSING,
)


def test_it_names_the_order_its_lines_and_its_total():
    pdf = render(ORDER)

    for text in (b"(Invoice for order 12345)", b"(2 x desk-lamp)", b"(Total 99.99 EUR)"):
        assert text in pdf


def test_its_table_points_at_its_objects():
    pdf = render(ORDER)

    start = int(re.search(rb"startxref\n(\d+)\n%%EOF", pdf)[1])  # type: ignore[index]
    assert pdf[start:].startswith(b"xref\n")
    offsets = [int(offset) for offset in re.findall(rb"(\d{10}) 00000 n", pdf)]
    for number, offset in enumerate(offsets, start=1):
        assert pdf[offset:].startswith(b"%d 0 obj\n" % number)


def test_its_stream_is_as_long_as_it_says():
    pdf = render(ORDER)

    length, stream = re.search(rb"/Length (\d+) >>\nstream\n(.*)\nendstream", pdf, re.DOTALL).groups()  # type: ignore[union-attr]
    assert len(stream) == int(length)
