from __future__ import annotations

from eventbus.rabbitmq.caution import SUSPICIOUS, BeginAgain, Caution


def test_a_consumer_takes_all_it_may_while_nothing_came_back_too_often():
    caution = Caution(10)

    assert caution.judge(SUSPICIOUS - 1) is None
    assert caution.prefetch == 10


def test_an_event_that_came_back_too_often_makes_it_begin_again_with_one_at_a_time():
    caution = Caution(10)

    assert caution.judge(0) is None
    assert isinstance(caution.judge(SUSPICIOUS), BeginAgain)
    assert caution.prefetch == 1


def test_suspects_are_let_through_one_by_one():
    caution = a_careful_one(10)

    assert [caution.judge(SUSPICIOUS + more) for more in range(5)] == [None] * 5
    assert caution.prefetch == 1


def test_it_takes_all_it_may_again_when_as_many_above_suspicion_have_come_as_were_in_hand():
    caution = a_careful_one(3)

    assert [caution.judge(0) for _ in range(3)] == [None] * 3
    assert isinstance(caution.judge(0), BeginAgain)
    assert caution.prefetch == 3


def test_a_suspect_among_them_makes_it_count_from_the_start():
    caution = a_careful_one(3)

    for returns in (0, 0, 0, SUSPICIOUS, 0, 0, 0):
        assert caution.judge(returns) is None
    assert isinstance(caution.judge(0), BeginAgain)


def test_what_comes_back_after_something_was_handled_suspects_nobody():
    caution = Caution(10)
    caution.handing_over()

    assert caution.judge(SUSPICIOUS) is None
    assert caution.prefetch == 10


def test_after_the_careful_start_there_is_no_second_one():
    caution = a_careful_one(2)
    while caution.judge(0) is None:
        pass

    assert caution.judge(SUSPICIOUS) is None
    assert caution.prefetch == 2


def test_dead_letters_come_back_as_often_as_they_are_looked_at():
    caution = Caution(10, is_needed=False)

    assert caution.judge(SUSPICIOUS) is None


def a_careful_one(prefetch: int) -> Caution:
    caution = Caution(prefetch)
    caution.judge(SUSPICIOUS)
    return caution
