"""eventbus run services.warehouse.main:service"""

from __future__ import annotations

from eventbus import Service
from services.warehouse.handlers import release_stock, reserve_stock, ship_order

service = Service("warehouse", [reserve_stock, release_stock, ship_order])
