"""The pause of a subscription whose handler depends on something that is away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from eventbus.circuit import LONGEST_HOLD, Circuit
from eventbus.logs import get_logger
from eventbus.once import Ended
from eventbus.outcome import Ack, DeadLetter, Outcome, Reason, RetryAfter
from eventbus.transport import Delivery, Message
from tests.support.eventually import eventually

AWAY = RetryAfter(2.0, "ConnectionError: nobody there", away=True)
LAST_ATTEMPT_AWAY = DeadLetter(Reason.EXHAUSTED, "ConnectionError: nobody there", away=True)
WRONG = RetryAfter(2.0, "ValueError: a bug")


def circuit(threshold: int = 3, *, longest_hold: float = LONGEST_HOLD) -> Circuit:
    return Circuit(threshold, get_logger("test"), first_pause=0.01, longest_hold=longest_hold)


class Handler:
    """Handles one event after another, each as `outcome` says at that moment."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.runs: list[str] = []

    def of(self, event_id: str) -> Callable[[object], asyncio.Future[list[Ended]]]:
        delivery = Delivery(
            Message(b"", "order.created", event_id=event_id), "q", 1, redelivered=False, tag=None
        )

        async def handle() -> list[Ended]:
            self.runs.append(event_id)
            await asyncio.sleep(0)
            return [Ended(delivery, self.outcome)]

        return lambda _: asyncio.ensure_future(handle())


async def run(subject: Circuit, handle: Callable[[object], Awaitable[list[Ended]]]) -> list[Ended]:
    """As a worker does."""
    taken_at = asyncio.get_running_loop().time()
    was_open = subject.is_open
    ended = [] if was_open else await handle(())
    if not was_open and subject.lets_pass(ended):
        return ended
    return await subject.run(handle, (), ended, since=taken_at)


def runs(subject: Circuit, handler: Handler, *event_ids: str) -> list[asyncio.Task[list[Ended]]]:
    return [asyncio.ensure_future(run(subject, handler.of(each))) for each in event_ids]


async def test_enough_different_events_in_a_row_open_it() -> None:
    subject, handler = circuit(3), Handler(AWAY)
    for event_id in ("1", "2"):
        assert [outcome for _, outcome, _ in await run(subject, handler.of(event_id))] == [AWAY]
    assert not subject.is_open
    waiting = asyncio.ensure_future(run(subject, handler.of("3")))
    await eventually(lambda: subject.is_open)
    handler.outcome = Ack()
    await waiting


async def test_one_event_that_fails_again_and_again_does_not_open_it() -> None:
    subject, handler = circuit(3), Handler(AWAY)
    for _ in range(10):
        await run(subject, handler.of("the same"))
    assert not subject.is_open


async def test_errors_of_the_handler_itself_do_not_open_it() -> None:
    subject, handler = circuit(3), Handler(WRONG)
    for number in range(10):
        await run(subject, handler.of(str(number)))
    assert not subject.is_open


async def test_a_success_in_between_starts_the_count_anew() -> None:
    subject, handler = circuit(3), Handler(AWAY)
    for number, outcome in enumerate((AWAY, AWAY, Ack(), AWAY, AWAY)):
        handler.outcome = outcome
        await run(subject, handler.of(str(number)))
    assert not subject.is_open


async def test_with_a_threshold_of_nothing_it_never_opens() -> None:
    subject, handler = circuit(0), Handler(AWAY)
    for number in range(50):
        await run(subject, handler.of(str(number)))
    assert not subject.is_open


async def test_while_it_is_open_events_wait_and_keep_their_attempts_even_the_last() -> None:
    subject, handler = circuit(2), Handler(LAST_ATTEMPT_AWAY)
    await run(subject, handler.of("1"))
    waiting = runs(subject, handler, "2", "3", "4")
    await eventually(lambda: len(handler.runs) > 6)

    assert not any(each.done() for each in waiting)
    handler.outcome = Ack()
    for each in waiting:
        assert [outcome for _, outcome, _ in await each] == [Ack()]
    assert not subject.is_open


async def test_probes_come_one_at_a_time() -> None:
    subject, handler = circuit(1), Handler(AWAY)
    together: set[int] = set()
    running = 0

    async def probe(_: object) -> list[Ended]:
        nonlocal running
        running += 1
        together.add(running)
        outcomes = await handler.of("probe")(())
        running -= 1
        return outcomes

    opening = asyncio.ensure_future(run(subject, handler.of("1")))
    await eventually(lambda: subject.is_open)
    waiting = [asyncio.ensure_future(run(subject, probe)) for _ in range(5)]
    await eventually(lambda: handler.runs.count("probe") >= 3)

    assert together == {1}
    handler.outcome = Ack()
    await asyncio.gather(opening, *waiting)


async def test_stopping_lets_go_of_what_waits_without_an_outcome() -> None:
    subject, handler = circuit(1), Handler(AWAY)
    waiting = asyncio.ensure_future(run(subject, handler.of("1")))
    await eventually(lambda: subject.is_open)

    subject.stop()

    assert await waiting == []


async def test_what_was_held_for_long_enough_leaves_with_its_outcome_though_others_wait_before_it() -> None:
    subject, handler = circuit(3, longest_hold=0.2), Handler(AWAY)
    began = asyncio.get_running_loop().time()

    ends = await asyncio.gather(*runs(subject, handler, *"abcdefgh"))

    assert asyncio.get_running_loop().time() - began < 2.0
    assert [[outcome for _, outcome, _ in end] for end in ends] == [[AWAY]] * 8


async def test_what_comes_while_it_is_open_is_handled_once_at_least() -> None:
    subject, handler = circuit(1, longest_hold=0.05), Handler(AWAY)
    opening = asyncio.ensure_future(run(subject, handler.of("first")))
    await eventually(lambda: subject.is_open)

    ends = await asyncio.gather(opening, *runs(subject, handler, *"abcdefgh"))

    assert set(handler.runs) == {"first", *"abcdefgh"}
    assert all(end for end in ends)
    assert subject.is_open
