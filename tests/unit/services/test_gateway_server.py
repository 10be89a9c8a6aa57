"""The payment gateway to develop against, asked over HTTP."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.support.eventually import eventually
from tests.support.outside import gateway_running

if TYPE_CHECKING:
    from pathlib import Path

    from httpx2 import Response

    from tests.support.outside import RunningGateway

CHARGE = {"amount": "99.99", "currency": "EUR", "customer": "789", "reference": "order-1"}


async def charge(gateway: RunningGateway, key: str = "order-1", **changes: Any) -> Response:
    return await gateway.client.post("/charges", json=CHARGE | changes, headers={"Idempotency-Key": key})


async def test_a_charge_is_taken_and_stands_in_the_books(gateway: RunningGateway):
    response = await charge(gateway)

    assert response.status_code == 201
    (booked,) = await gateway.charges()
    assert booked["charge_id"] == response.json()["charge_id"]
    assert (booked["amount"], booked["status"]) == ("99.99", "captured")


async def test_the_same_key_again_gives_the_charge_that_is_there(gateway: RunningGateway):
    first = await charge(gateway)
    again = await charge(gateway)

    assert again.status_code == 200
    assert again.json() == first.json()
    assert len(await gateway.charges()) == 1


async def test_the_same_key_twice_at_once_is_one_charge(gateway: RunningGateway):
    await gateway.behave(latency=0.05)

    answers = await asyncio.gather(*(charge(gateway) for _ in range(5)))

    assert len({answer.json()["charge_id"] for answer in answers}) == 1
    assert len(await gateway.charges()) == 1


async def test_a_key_cannot_be_used_for_another_charge(gateway: RunningGateway):
    await charge(gateway)

    response = await charge(gateway, amount="1.00")

    assert response.status_code == 422
    assert response.json()["error"] == "idempotency_key_reused"


async def test_a_charge_without_a_key_is_refused(gateway: RunningGateway):
    assert (await gateway.client.post("/charges", json=CHARGE)).status_code == 422


async def test_amounts_that_end_in_13_are_declined_and_stay_so(gateway: RunningGateway):
    first = await charge(gateway, amount="20.13")
    again = await charge(gateway, amount="20.13")

    assert (first.status_code, again.status_code) == (402, 402)
    assert first.json()["error"] == "insufficient_funds"
    assert await gateway.statuses() == ["declined"]


async def test_customers_can_be_declined_by_name(gateway: RunningGateway):
    await gateway.behave(declined_customers=["789"])

    assert (await charge(gateway)).json()["error"] == "card_declined"


async def test_a_refund_happens_once_however_often_it_is_asked(gateway: RunningGateway):
    charge_id = (await charge(gateway)).json()["charge_id"]

    answers = [await gateway.client.post(f"/charges/{charge_id}/refund") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert await gateway.statuses() == ["refunded"]


async def test_what_was_not_captured_cannot_be_refunded(gateway: RunningGateway):
    declined = (await charge(gateway, amount="1.13")).json()["charge_id"]

    assert (await gateway.client.post(f"/charges/{declined}/refund")).status_code == 404
    assert (await gateway.client.post("/charges/ch_unknown/refund")).status_code == 404


async def test_it_can_be_told_to_fail_a_number_of_times(gateway: RunningGateway):
    await gateway.behave(status=503, times=2)

    answers = [(await charge(gateway)).status_code for _ in range(3)]

    assert answers == [503, 503, 201]


async def test_it_can_be_told_to_fail_for_a_while(gateway: RunningGateway):
    await gateway.behave(status=500, seconds=1)

    assert (await charge(gateway)).status_code == 500

    async def works() -> bool:
        return (await charge(gateway)).status_code == 201

    await eventually(works, within=30)


async def test_a_busy_gateway_says_when_to_come_back(gateway: RunningGateway):
    await gateway.behave(status=429, retry_after=7)

    response = await charge(gateway)

    assert (response.status_code, response.headers["Retry-After"]) == (429, "7")


async def test_an_answer_can_get_lost_after_the_charge_was_taken(gateway: RunningGateway):
    await gateway.behave(status=500, times=1, answer_lost=True)

    lost = await charge(gateway)
    again = await charge(gateway)

    assert (lost.status_code, again.status_code) == (500, 200)
    assert await gateway.statuses() == ["captured"]


async def test_it_knows_its_charges_after_a_restart(tmp_path: Path):
    database = str(tmp_path / "gateway.db")
    async with gateway_running(database) as before:
        first = await charge(before)
    async with gateway_running(database) as after:
        again = await charge(after)

    assert (again.status_code, again.json()) == (200, first.json())
