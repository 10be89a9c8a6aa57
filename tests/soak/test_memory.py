"""The looks at memory come when they are due, and tell growth."""

from __future__ import annotations

import mmap

from tests.soak.memory import GROWTH, PARTS, Look, Memory, resident_megabytes


def looks(*megabytes: float) -> Memory:
    memory = Memory()
    memory.looks = [Look(part, size, 30, 2) for part, size in zip(PARTS, megabytes, strict=False)]
    return memory


async def test_a_look_is_due_once_after_each_part_of_the_run() -> None:
    memory = Memory()

    for percent in range(101):
        over = percent / 100
        while memory.is_due(over):
            assert memory.look(remembered=0).part == over

    assert [look.part for look in memory.looks] == list(PARTS)


def test_growth_is_from_the_first_look_to_the_last_whatever_was_between() -> None:
    assert looks(60.0, 90.0, 60.0 + GROWTH).is_flat
    assert not looks(60.0, 60.0, 60.1 + GROWTH).is_flat
    assert looks(60.0, 60.0, 50.0).growth == -10.0
    assert looks().growth == 0.0


def test_a_look_is_one_line() -> None:
    assert str(Look(0.1, 61.26, 30, 2)) == "memory at  10%: 61.3 MB, 30 tasks, 2 ids in the ledger"


def test_what_is_held_is_seen() -> None:
    size = 64 * 1024 * 1024
    before = resident_megabytes()

    with mmap.mmap(-1, size) as held:  # an allocation could be of memory that the process has freed and kept
        held.write(b"x" * size)
        assert resident_megabytes() - before > 48
