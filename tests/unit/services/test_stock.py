"""The warehouse's database: nothing is sold twice, and an order gets all or nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from services.warehouse.stock import State, Stock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHELVES = {"lamp": 3, "notebook": 10}


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "stock.db")


@pytest.fixture
def stock(path: str) -> Iterator[Stock]:
    with Stock.open(path, SHELVES) as opened:
        yield opened


def test_a_reservation_takes_what_was_ordered_off_the_shelves(stock: Stock):
    reservation = stock.reserve(1, [("lamp", 2), ("notebook", 4)])

    assert reservation.state is State.RESERVED
    assert (stock.available("lamp"), stock.available("notebook")) == (1, 6)


def test_an_order_that_comes_twice_is_reserved_once(stock: Stock):
    assert stock.reserve(1, [("lamp", 2)]) == stock.reserve(1, [("lamp", 2)])
    assert stock.available("lamp") == 1


def test_all_or_nothing(stock: Stock):
    reservation = stock.reserve(1, [("notebook", 4), ("lamp", 4)])

    assert (reservation.state, reservation.missing) == (State.REJECTED, ("lamp",))
    assert (stock.available("lamp"), stock.available("notebook")) == (3, 10)


def test_an_unknown_product_is_missing(stock: Stock):
    assert stock.reserve(1, [("unicorn", 1)]).missing == ("unicorn",)


def test_the_lines_of_one_product_count_together(stock: Stock):
    assert stock.reserve(1, [("lamp", 2), ("lamp", 2)]).state is State.REJECTED
    assert stock.reserve(2, [("lamp", 2), ("lamp", 1)]).state is State.RESERVED


def test_a_released_reservation_is_back_on_the_shelves_once(stock: Stock):
    stock.reserve(1, [("lamp", 3)])

    states = [stock.release(1) for _ in range(2)]

    assert [each.state for each in states if each] == [State.RELEASED, State.RELEASED]
    assert stock.available("lamp") == 3


def test_what_was_shipped_cannot_be_released_nor_the_other_way_round(stock: Stock):
    stock.reserve(1, [("lamp", 1)])
    stock.ship(1)
    stock.reserve(2, [("lamp", 1)])
    stock.release(2)

    released, shipped = stock.release(1), stock.ship(2)

    assert released is not None
    assert released.state is State.SHIPPED
    assert shipped is not None
    assert shipped.state is State.RELEASED


def test_what_was_rejected_stays_so_even_when_the_shelves_are_full_again(stock: Stock):
    stock.reserve(1, [("lamp", 3)])
    stock.reserve(2, [("lamp", 1)])
    stock.release(1)

    assert stock.reserve(2, [("lamp", 1)]).state is State.REJECTED


def test_an_order_that_was_never_reserved_is_unknown(stock: Stock):
    assert stock.release(1) is None
    assert stock.ship(1) is None


def test_two_workers_cannot_sell_the_last_lamp_twice(path: str):
    with Stock.open(path, {"lamp": 20}) as one, Stock.open(path, {"lamp": 20}) as other:

        def reserve(order_id: int) -> State:
            return (one, other)[order_id % 2].reserve(order_id, [("lamp", 1)]).state

        with ThreadPoolExecutor(8) as threads:
            states = list(threads.map(reserve, range(50)))

    assert states.count(State.RESERVED) == 20
    assert states.count(State.REJECTED) == 30


def test_opening_again_leaves_the_shelves_as_they_are(path: str):
    with Stock.open(path, SHELVES) as before:
        before.reserve(1, [("lamp", 3)])
    with Stock.open(path, SHELVES) as after:
        assert after.available("lamp") == 0
