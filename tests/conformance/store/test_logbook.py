"""A page of the logbook is in one living process's hand, and outlives it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from eventbus.logbook import OutOfHand, Page
from tests.conformance.sizes import PATIENCE
from tests.conformance.store.drive import logbook_of
from tests.conformance.store.kinds import INBOX_ONLY, SHARED_SQL, SQL, quick
from tests.support.eventually import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from eventbus.store import Store
    from tests.conformance.store.kinds import Place


def a_page(name: str = "one", text: str = "{}", wish: str = "", *, is_in_hand: bool = True) -> Page:
    return Page("replay", name, text, wish, is_in_hand)


@SQL
async def test_a_page_that_is_taken_is_made_with_its_first_text(store: Store) -> None:
    logbook = logbook_of(store)

    assert await logbook.take("replay", "one", "begun") == (True, a_page(text="begun"))
    assert await logbook.page("replay", "one") == a_page(text="begun")
    assert await logbook.page("replay", "two") is None
    assert await logbook.page("catch-up", "one") is None


@SQL
async def test_a_page_is_not_taken_a_second_time_by_its_own_process(store: Store) -> None:
    logbook = logbook_of(store)
    await logbook.take("replay", "one", "first")

    assert await logbook.take("replay", "one", "second") == (False, a_page(text="first"))


@SQL
async def test_what_is_written_is_there_when_the_page_is_taken_again(store: Store) -> None:
    logbook = logbook_of(store)
    await logbook.take("replay", "one", "begun")

    assert await logbook.write("replay", "one", "half") == a_page(text="half")
    await logbook.leave("replay", "one")

    assert await logbook.page("replay", "one") == a_page(text="half", is_in_hand=False)
    assert await logbook.take("replay", "one", "begun") == (True, a_page(text="half"))


@SQL
async def test_a_wish_is_told_by_the_next_write_and_gone_when_the_page_is_left(store: Store) -> None:
    logbook = logbook_of(store)
    await logbook.take("replay", "one", "begun")

    assert await logbook.ask("replay", "one", "pause") == a_page(text="begun", wish="pause")
    assert await logbook.write("replay", "one", "half") == a_page(text="half", wish="pause")
    await logbook.leave("replay", "one")

    assert await logbook.page("replay", "one") == a_page(text="half", is_in_hand=False)


@SQL
async def test_nobody_is_asked_where_a_page_is_in_nobody_s_hand_or_is_not_there(store: Store) -> None:
    logbook = logbook_of(store)
    await logbook.take("replay", "one", "begun")
    await logbook.leave("replay", "one")

    assert await logbook.ask("replay", "one", "pause") == a_page(text="begun", is_in_hand=False)
    assert await logbook.ask("replay", "two", "pause") is None


@SQL
async def test_pages_of_a_kind_are_in_the_order_in_which_they_were_made(store: Store) -> None:
    logbook = logbook_of(store)
    for name in ("c", "a", "b"):
        await logbook.take("replay", name, name)
    await logbook.take("catch-up", "z", "")
    await logbook.leave("replay", "c")
    await logbook.take("replay", "c", "")
    await logbook.leave("replay", "a")

    assert await logbook.pages("replay") == [
        a_page("c", "c"),
        a_page("a", "a", is_in_hand=False),
        a_page("b", "b"),
    ]
    assert await logbook.pages("no such kind") == []


@SQL
async def test_names_and_texts_of_all_characters_come_back(store: Store) -> None:
    logbook = logbook_of(store)
    name, text = 'it\'s "one" {schema} ä 🐇 %s', '{"a": "ä 🐇 \\u0000"}'

    await logbook.take("replay", name, text)

    assert await logbook.write("replay", name, text) == a_page(name, text)


@SHARED_SQL
async def test_what_a_living_process_has_in_hand_is_seen_and_asked_but_not_taken_by_others(
    store: Store, other: Store
) -> None:
    here, there = logbook_of(store), logbook_of(other)
    await here.take("replay", "one", "begun")

    assert await there.take("replay", "one", "other") == (False, a_page(text="begun"))
    assert await there.ask("replay", "one", "pause") == a_page(text="begun", wish="pause")
    await there.leave("replay", "one")
    with pytest.raises(OutOfHand):
        await there.write("replay", "one", "other")

    assert await here.write("replay", "one", "half") == a_page(text="half", wish="pause")
    assert await there.take("replay", "one", "other") == (False, a_page(text="half", wish="pause"))


@SHARED_SQL
async def test_a_page_that_is_left_or_whose_store_is_closed_can_be_taken(place: Place, other: Store) -> None:
    there = logbook_of(other)
    async with place.opened(quick(lease=600.0)) as closing:
        await logbook_of(closing).take("replay", "left", "")
        await logbook_of(closing).take("replay", "closed", "")
        await logbook_of(closing).leave("replay", "left")
        assert (await there.take("replay", "left", ""))[0]
        assert not (await there.take("replay", "closed", ""))[0]

    assert (await there.take("replay", "closed", ""))[0]


@SHARED_SQL
async def test_a_page_of_a_killed_process_can_be_taken_and_has_no_wish(
    place: Place, store: Store, tmp_path: Path
) -> None:
    logbook = logbook_of(store)
    async with place.process("page", log=tmp_path / "log") as process:
        await process.says("taken", within=PATIENCE)
        assert await logbook.ask("replay", "one", "pause") == a_page(text="begun", wish="pause")
        await process.kill()

    async def taken() -> bool:
        return await logbook.take("replay", "one", "other") == (True, a_page(text="begun"))

    await eventually(taken, within=PATIENCE)


@pytest.mark.parametrize("place", ["sqlite", "postgres"], indirect=True)  # embedded: as the first, and slow
async def test_a_process_taken_for_dead_does_not_write_over_the_one_that_took_over(
    place: Place, store: Store, tmp_path: Path
) -> None:
    logbook = logbook_of(store)
    async with place.process("page", log=tmp_path / "log") as process:
        await process.says("taken", within=PATIENCE)
        process.freeze()

        async def taken() -> bool:
            return (await logbook.take("replay", "one", "other"))[0]

        await eventually(taken, within=PATIENCE)
        process.thaw()
        await process.says("out of hand", within=PATIENCE)

    assert await logbook.page("replay", "one") == a_page(text="begun")


@SHARED_SQL
async def test_of_two_processes_that_take_at_once_exactly_one_gets_each_page(
    store: Store, other: Store
) -> None:
    async def take_all(taker: Store) -> list[bool]:
        return [(await logbook_of(taker).take("replay", str(number), ""))[0] for number in range(30)]

    here, there = await asyncio.gather(take_all(store), take_all(other))

    assert {frozenset(pair) for pair in zip(here, there, strict=True)} == {frozenset({True, False})}


@INBOX_ONLY
async def test_an_inbox_alone_has_no_logbook(store: Store) -> None:
    assert store.logbook is None
