"""eventbus run services.email.main:service"""

from __future__ import annotations

from eventbus import Service
from services.email.handlers import send_confirmation, send_out_of_stock, send_payment_declined

service = Service("email", [send_confirmation, send_payment_declined, send_out_of_stock])
