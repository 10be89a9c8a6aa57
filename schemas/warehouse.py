"""What the warehouse tells about the goods of an order."""

from __future__ import annotations

from eventbus import Event
from schemas.order import Line, Sku


class StockReserved(Event, type="stock.reserved", version="1.0"):
    """All that was ordered lies ready."""

    order_id: int
    lines: tuple[Line, ...]


class StockRejected(Event, type="stock.rejected", version="1.0"):
    """Not all that was ordered is there, so nothing is held; `missing` names the products that lack."""

    order_id: int
    user_id: int
    missing: tuple[Sku, ...]


class StockReleased(Event, type="stock.released", version="1.0"):
    """What was held for an order can be sold again, because the order was not paid."""

    order_id: int


class StockShipped(Event, type="stock.shipped", version="1.0"):
    """The goods are on their way."""

    order_id: int
