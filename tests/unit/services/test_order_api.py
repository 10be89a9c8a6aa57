"""The order API over HTTP: a real gateway, a real mail server, and a bus in memory."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from eventbus import Bus, Envelope, Service, subscribe
from eventbus.store import StoreUnavailable
from schemas import Line, OrderCreated
from schemas.order import MYSTERY_BOX
from services.order.api import Api
from services.order.books import Books
from services.order.charging import Cashier
from services.order.confirming import Confirming
from services.order.database import Database
from services.order.order import OrderRequest
from services.order.orders import Orders
from services.order.placing import Placing
from services.order.publishing import Publishing
from services.order.settings import Latencies, Settings
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from tests.support.outside import RunningGateway, RunningMailServer


@dataclass(frozen=True)
class Shop:
    client: httpx2.AsyncClient
    orders: Orders
    books: Books
    publishing: Publishing
    published: list[Envelope[OrderCreated]] = field(default_factory=list)

    async def post(self, mode: str = "events", **changes: Any) -> httpx2.Response:
        body = {"user_id": 7, "total": "99.99"} | changes
        return await self.client.post("/orders", params={"mode": mode}, json=body)

    async def show(self, response: httpx2.Response) -> dict[str, Any]:
        shown: dict[str, Any] = (await self.client.get(response.headers["Location"])).json()
        return shown

    async def the_event(self) -> OrderCreated:
        await eventually(lambda: self.published)
        (envelope,) = self.published
        return envelope.data


@asynccontextmanager
async def open_shop(latencies: Latencies) -> AsyncGenerator[Shop]:
    settings = Settings.from_environment()
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database.open(settings.database))
        cashier = await stack.enter_async_context(Cashier.open(settings.gateway_url, timeout=1.0))
        bus = Bus("sqlite://:memory:", source="order", store=settings.store)
        opening = await stack.enter_async_context(bus.opening())
        assert await opening.tried(within=5)
        orders, books = Orders(database), Books(database)
        publishing = Publishing(orders, bus, after=0.0)
        confirming = Confirming(settings.smtp_host, settings.smtp_port, timeout=1.0)
        placing = Placing(orders, books, publishing, cashier, confirming, latencies)
        api = Api(orders, books, placing, opening)
        client = httpx2.AsyncClient(base_url="http://orders", transport=httpx2.ASGITransport(api.app()))
        shop = Shop(await stack.enter_async_context(client), orders, books, publishing)

        @subscribe(OrderCreated)
        async def listen(event: Envelope[OrderCreated]) -> None:
            shop.published.append(event)

        await stack.enter_async_context(bus.running(Service("listener", [listen])))
        yield shop


@pytest.fixture
async def shop(gateway: RunningGateway, mail_server: RunningMailServer) -> AsyncIterator[Shop]:
    async with open_shop(Latencies()) as opened:
        yield opened


async def test_an_order_is_accepted_and_published_with_all_that_others_need(shop: Shop):
    lines = [{"sku": "desk-lamp", "quantity": 2}]

    response = await shop.post(lines=lines)

    assert response.status_code == 202
    assert response.json()["status"] == "processing"
    event = await shop.the_event()
    assert event == OrderCreated(
        order_id=response.json()["order_id"],
        user_id=7,
        total=Decimal("99.99"),
        currency="EUR",
        lines=(Line(sku="desk-lamp", quantity=2),),
    )


async def test_money_may_come_as_a_number_and_stays_exact(shop: Shop):
    await shop.post(total=99.99)

    assert (await shop.the_event()).total == Decimal("99.99")


async def test_an_order_without_lines_is_one_mystery_box(shop: Shop):
    await shop.post()

    assert (await shop.the_event()).lines == (Line(sku=MYSTERY_BOX, quantity=1),)


async def test_with_events_the_gateway_is_not_asked_before_the_answer(shop: Shop, gateway: RunningGateway):
    await gateway.behave(status=503)

    assert (await shop.post()).status_code == 202
    assert await gateway.charges() == []


async def test_the_answer_says_how_long_it_took(gateway: RunningGateway, mail_server: RunningMailServer):
    later = 100.0  # what the answer does not wait for
    async with open_shop(Latencies(validate=0.1, inventory=later, database=0.1, invoice=later)) as shop:
        began = time.perf_counter()
        duration = (await shop.post()).json()["duration_ms"]
        waited = (time.perf_counter() - began) * 1000

    assert 200 <= duration <= waited < later * 1000


async def test_deferred_takes_the_payment_first(shop: Shop, gateway: RunningGateway):
    response = await shop.post("deferred")

    (charge,) = await gateway.charges()
    assert charge["idempotency_key"] == f"order-{response.json()['order_id']}"
    assert (await shop.the_event()).charge_id == charge["charge_id"]
    assert (await shop.show(response))["payment"] == "captured"


async def test_a_decline_in_line_is_the_answer_and_nobody_hears_of_the_order(shop: Shop):
    response = await shop.post("deferred", total="20.13")

    assert response.status_code == 402
    assert response.json()["detail"] == {"error": "declined", "reason": "insufficient_funds"}
    assert (await shop.orders.summary()).status == {"declined": 1}
    assert await shop.orders.left_behind(0) == []
    assert not shop.published


async def test_what_is_known_to_be_sold_out_is_the_answer_in_line(shop: Shop, gateway: RunningGateway):
    await shop.books.note_sold_out(["unicorn"])

    response = await shop.post("deferred", lines=[{"sku": "unicorn", "quantity": 1}])

    assert response.status_code == 409
    assert response.json()["detail"]["missing"] == ["unicorn"]
    assert await gateway.charges() == []


async def test_a_gateway_that_is_away_leaves_the_payment_to_the_events(shop: Shop, gateway: RunningGateway):
    await gateway.behave(status=503)

    response = await shop.post("deferred")

    assert response.status_code == 202
    assert (await shop.the_event()).charge_id is None


async def test_sync_does_everything_before_the_answer(shop: Shop, mail_server: RunningMailServer):
    response = await shop.post("sync")

    order_id = response.json()["order_id"]
    (mail,) = mail_server.mails()
    assert (await shop.the_event()).confirmation_id == mail["Message-ID"]
    assert (await shop.client.get(f"/orders/{order_id}/invoice")).content.startswith(b"%PDF-1.4")
    assert (await shop.orders.summary()).revenue == {"EUR": Decimal("99.99")}


async def test_a_mail_server_that_is_away_leaves_the_mail_to_the_events(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
):
    monkeypatch.setenv("SMTP_PORT", str(unused_tcp_port))
    async with open_shop(Latencies()) as shop:
        assert (await shop.post("sync")).status_code == 202
        assert (await shop.the_event()).confirmation_id is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"user_id": 0}, "user_id"),
        ({"total": "-1"}, "total"),
        ({"total": "1.001"}, "total"),
        ({"total": "NaN"}, "total"),
        ({"lines": []}, "lines"),
        ({"lines": [{"sku": "Ünicorn", "quantity": 1}]}, "sku"),
        ({"lines": [{"sku": "unicorn", "quantity": 0}]}, "quantity"),
        ({"quantitty": 1}, "quantitty"),
    ],
)
async def test_an_order_that_makes_no_sense_is_refused_by_field(
    shop: Shop, changes: dict[str, Any], field: str
):
    response = await shop.post(**changes)

    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"][-1] == field
    assert (await shop.orders.summary()).orders == 0


async def test_unknown_orders_modes_and_invoices_say_so(shop: Shop):
    assert (await shop.client.get("/orders/1")).status_code == 404
    assert (await shop.client.get("/orders/1/invoice")).status_code == 404
    assert (await shop.post("later")).status_code == 422


async def test_the_overview_counts_orders_and_shows_the_newest(shop: Shop):
    ids = [(await shop.post()).json()["order_id"] for _ in range(3)]

    overview = (await shop.client.get("/orders", params={"newest": 2})).json()

    assert overview["summary"]["orders"] == 3
    assert [order["order_id"] for order in overview["newest"]] == [ids[2], ids[1]]


async def test_an_order_that_was_left_behind_is_published_under_its_own_event_id(shop: Shop):
    order = await shop.orders.insert(OrderRequest(user_id=7, total=Decimal("99.99")))

    async with shop.publishing.running():
        await shop.the_event()

    assert shop.published[0].event_id == order.event_id
    assert await shop.orders.left_behind(0) == []


async def test_an_order_is_not_there_without_its_event(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object, **__: object) -> None:
        raise StoreUnavailable("sqlite:///order.db", "the disk is full")

    monkeypatch.setattr(shop.publishing.bus, "enqueue", fail)

    with pytest.raises(StoreUnavailable):
        await shop.post()

    assert (await shop.orders.summary()).orders == 0
