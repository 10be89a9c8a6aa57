from __future__ import annotations

from eventbus.rabbitmq.supervisor import Pauses


def test_pauses_double_up_to_the_longest_and_are_never_all_alike() -> None:
    pauses = Pauses(0.1, 1.0)

    waited = [pauses.next() for _ in range(8)]

    for pause, most in zip(waited, [0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0, 1.0], strict=True):
        assert most / 2 <= pause <= most
    assert len(set(waited)) == 8


def test_after_a_success_they_begin_anew() -> None:
    pauses = Pauses(0.1, 1.0)
    for _ in range(8):
        pauses.next()

    pauses.reset()

    assert pauses.next() <= 0.1
