"""Waiting, for as long as it takes and no longer."""

import asyncio
import time

import pytest

from tests.support.eventually import eventually, eventually_sync


async def test_it_gives_back_the_first_true_answer() -> None:
    handled: list[int] = []
    asyncio.get_running_loop().call_later(0.05, handled.append, 3)
    assert await eventually(lambda: handled) == [3]


async def test_a_failing_assert_means_not_yet() -> None:
    answers = iter([1, 2, 3])

    async def third() -> str:
        assert next(answers) == 3
        return "found"

    assert await eventually(third) == "found"


async def test_a_predicate_that_hangs_is_given_up_in_time() -> None:
    with pytest.raises(AssertionError, match="last seen: TimeoutError"):
        await eventually(lambda: asyncio.sleep(60), within=0.05)


async def test_when_the_time_has_passed_in_one_go_it_still_asks_a_few_times() -> None:
    answers = iter([False, False, True])
    asyncio.get_running_loop().call_soon(time.sleep, 0.1)
    assert await eventually(lambda: next(answers), within=0.05)


async def test_an_error_that_was_not_foreseen_is_raised_at_once() -> None:
    shelf: dict[str, int] = {}
    with pytest.raises(KeyError):
        await eventually(lambda: shelf["missing"])


def test_the_report_shows_the_question_and_the_last_answer() -> None:
    handled = [1, 2]
    with pytest.raises(AssertionError, match=r"len\(handled\) == 3(.|\n)*last seen: False"):
        eventually_sync(lambda: len(handled) == 3, within=0.05)


def test_named_errors_mean_not_yet() -> None:
    def refused() -> None:
        raise ConnectionRefusedError

    with pytest.raises(AssertionError, match="last seen: ConnectionRefusedError"):
        eventually_sync(refused, within=0.05, despite=OSError)
