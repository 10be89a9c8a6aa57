"""The transport routes by patterns as `eventbus.topic.matches` says that it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conformance import drive, sizes
from tests.conformance.topic_cases import EMPTY_WORD_CASES, RABBITMQ_CASES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventbus.transport import Transport
    from tests.conformance.topic_cases import TopicCase

# The first ones asked, where not all are: between them they hold every kind of word at every place.
TELLING = ("a.#.b", "#.b", "*.*", "a.#.#", "*.#", "#.*.#", "*", "#.b.#")


async def test_patterns_match_as_they_do_in_rabbitmq(transport: Transport) -> None:
    patterns = (*TELLING, *(case.pattern for case in RABBITMQ_CASES))
    await _expect(transport, RABBITMQ_CASES, tuple(dict.fromkeys(patterns))[: sizes.PATTERNS])


async def test_an_empty_word_is_a_word(transport: Transport) -> None:
    await _expect(transport, EMPTY_WORD_CASES, ("*.*", "a.*", "a.#.a", ".#", "#."))


async def _expect(transport: Transport, cases: Sequence[TopicCase], patterns: Sequence[str]) -> None:
    """Sends every topic of the cases to a queue for each pattern."""
    queues = {pattern: f"pattern.number_{n}" for n, pattern in enumerate(patterns)}
    await transport.apply(drive.topology(**{queue: [pattern] for pattern, queue in queues.items()}))
    topics = dict.fromkeys(case.topic for case in cases)
    await drive.send(transport, *(drive.a_message(topic) for topic in topics))

    for pattern, queue in queues.items():
        received = [delivery.message.routing_key for delivery in await drive.contents(transport, queue)]
        expected = {case.topic for case in cases if case.pattern == pattern and case.matches}
        assert sorted(received) == sorted(expected), f"what {pattern!r} matches"
