"""eventbus run services.payment.main:service"""

from __future__ import annotations

from eventbus import Service
from services.payment.handlers import charge_order, void_payment

service = Service("payment", [charge_order, void_payment])
