"""Which binding patterns match which topics, as RabbitMQ decides it."""

from __future__ import annotations

from typing import Final, NamedTuple


class TopicCase(NamedTuple):
    pattern: str
    topic: str
    matches: bool


# The patterns and topics of RabbitMQ's own test of its topic exchange, 26 by 11. One pattern is there twice.
_TOPICS: Final = (
    "a.b.c",
    "a.b",
    "a.b.b",
    "",
    "b.c.c",
    "a.a.a.a.a",
    "vodka.gin",
    "vodka.martini",
    "b.b.c",
    "nothing.here.at.all",
    "oneword",
)
_GRID: Final = """
    a.b.c           x . . . . . . . . . .
    a.*.c           x . . . . . . . . . .
    a.#.b           . x x . . . . . . . .
    a.b.b.c         . . . . . . . . . . .
    #               x x x x x x x x x x x
    #.#             x x x x x x x x x x x
    #.b             . x x . . . . . . . .
    *.*             . x . . . . x x . . .
    a.*             . x . . . . . . . . .
    *.b.c           x . . . . . . . x . .
    a.#             x x x . . x . . . . .
    a.#.#           x x x . . x . . . . .
    b.b.c           . . . . . . . . x . .
    a.b.b           . . x . . . . . . . .
    a.b             . x . . . . . . . . .
    b.c             . . . . . . . . . . .
    ""              . . . x . . . . . . .
    *.*.*           x . x . x . . . x . .
    vodka.martini   . . . . . . . x . . .
    a.b.c           x . . . . . . . . . .
    *.#             x x x . x x x x x x x
    #.*.#           x x x . x x x x x x x
    *.#.#           x x x . x x x x x x x
    #.#.#           x x x x x x x x x x x
    *               . . . . . . . . . . x
    #.b.#           x x x . x . . . x . .
"""

# Empty words are words, except in the empty topic, which has none. Asked of RabbitMQ 3.10.
_EMPTY_TOPICS: Final = ("", ".", "..", "a.", ".a", "a..a", "a.a", "a")
_EMPTY_GRID: Final = """
    ""              x . . . . . . .
    .               . x . . . . . .
    ..              . . x . . . . .
    a.              . . . x . . . .
    .a              . . . . x . . .
    a..a            . . . . . x . .
    *               . . . . . . . x
    *.*             . x . x x . x .
    *.*.*           . . x . . x . .
    a.*             . . . x . . x .
    *.a             . . . . x . x .
    a.*.a           . . . . . x . .
    a.#.a           . . . . . x x .
    #.a             . . . . x x x x
    a.#             . . . x . x x x
    .#              . x x . x . . .
    #.              . x x x . . . .
"""


def _cases(grid: str, topics: tuple[str, ...]) -> tuple[TopicCase, ...]:
    rows = [line.split() for line in grid.strip().splitlines()]
    return tuple(
        TopicCase(pattern.strip('"'), topic, mark == "x")
        for pattern, *marks in rows
        for topic, mark in zip(topics, marks, strict=True)
    )


RABBITMQ_CASES: Final = _cases(_GRID, _TOPICS)
EMPTY_WORD_CASES: Final = _cases(_EMPTY_GRID, _EMPTY_TOPICS)
