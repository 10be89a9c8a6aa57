"""What the payment service does about the events of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, assert_never

from eventbus import Context, Depends, RetryLater, RetryPolicy, subscribe
from schemas.order import OrderCreated
from schemas.payment import PaymentCaptured, PaymentDeclined, PaymentVoided
from schemas.warehouse import StockRejected
from services.payment.gateway import (
    ChargeDeclined,
    Gateway,
    GatewayRefused,
    GatewayUnavailable,
    delay_for,
)
from services.payment.payments import Payment, Payments, State
from services.payment.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def open_gateway() -> AsyncIterator[Gateway]:
    settings = Settings.from_environment()
    async with Gateway.open(settings.gateway_url, timeout=settings.gateway_timeout) as gateway:
        yield gateway


async def open_payments() -> AsyncIterator[Payments]:
    async with Payments.open(Settings.from_environment().database) as payments:
        yield payments


OurGateway = Annotated[Gateway, Depends(open_gateway)]
OurPayments = Annotated[Payments, Depends(open_payments)]

# A gateway may be away for an hour: 2, 4, 8 … 600 s, and 120 s where it answers 429. What it refuses it will
# always refuse. While it is away the subscription pauses, and orders keep their attempts.
PATIENT = RetryPolicy(
    max_attempts=14, give_up_on=(GatewayRefused,), delay_for=delay_for, pause_on=(GatewayUnavailable,)
)


@subscribe(OrderCreated, retry=PATIENT)
async def charge_order(
    event: OrderCreated, gateway: OurGateway, payments: OurPayments
) -> PaymentCaptured | PaymentDeclined | None:
    """Take the money, once for each order.

    The idempotency key is the order's own, not the event's: the order service may have asked the gateway
    before it published, and an order that was published twice is two events but one order.
    """
    payment = await payments.begin(event.order_id, event.user_id, event.total, event.currency)
    if payment.state is State.PENDING and event.charge_id is not None:
        payment = await payments.capture(payment.order_id, event.charge_id)
    elif payment.state is State.PENDING:
        payment = await _charge(payment, gateway, payments)
    return _told(payment)


# Waits longer than a charge is tried for: first 0.5 s, together more than an hour.
UNTIL_DECIDED = RetryPolicy(max_attempts=18, first=0.5, give_up_on=(GatewayRefused,), delay_for=delay_for)


@subscribe(StockRejected, retry=UNTIL_DECIDED)
async def void_payment(
    event: StockRejected, context: Context, gateway: OurGateway, payments: OurPayments
) -> PaymentVoided | None:
    """What cannot be delivered is not to be paid.

    This may come before the order itself, or before the gateway has answered: then it is too early to know
    what there is to give back.
    """
    payment = await payments.get(event.order_id)
    if payment is None or payment.state is State.PENDING:
        raise RetryLater(
            UNTIL_DECIDED.wait_after(context.attempt), f"order {event.order_id} is still being charged"
        )
    if payment.state is State.DECLINED:
        return None
    charge_id = str(payment.charge_id)
    if payment.state is State.CAPTURED:
        await gateway.refund(charge_id)
        payment = await payments.void(event.order_id)
    return PaymentVoided(
        order_id=payment.order_id, charge_id=charge_id, amount=payment.amount, currency=payment.currency
    )


async def _charge(payment: Payment, gateway: Gateway, payments: Payments) -> Payment:
    try:
        charge_id = await gateway.charge(
            amount=payment.amount,
            currency=payment.currency,
            customer=str(payment.user_id),
            reference=f"order-{payment.order_id}",
            idempotency_key=f"order-{payment.order_id}",
        )
    except ChargeDeclined as declined:
        return await payments.decline(payment.order_id, declined.reason)
    return await payments.capture(payment.order_id, charge_id)


def _told(payment: Payment) -> PaymentCaptured | PaymentDeclined | None:
    """What has been decided; told again when the order comes again, for a worker may die before it tells."""
    match payment.state:
        case State.CAPTURED:
            return PaymentCaptured(
                order_id=payment.order_id,
                charge_id=str(payment.charge_id),
                amount=payment.amount,
                currency=payment.currency,
            )
        case State.DECLINED:
            return PaymentDeclined(
                order_id=payment.order_id,
                user_id=payment.user_id,
                amount=payment.amount,
                currency=payment.currency,
                reason=str(payment.reason),
            )
        case State.VOIDED:
            return None
        case State.PENDING:
            raise RetryLater(1.0, f"order {payment.order_id} is still being charged")
        case _:
            assert_never(payment.state)
