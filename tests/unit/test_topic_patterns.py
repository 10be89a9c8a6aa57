from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.topic import matches
from tests.conformance.topic_cases import EMPTY_WORD_CASES, RABBITMQ_CASES, TopicCase


@pytest.mark.parametrize("case", [*RABBITMQ_CASES, *EMPTY_WORD_CASES], ids=str)
def test_a_pattern_matches_what_it_matches_in_rabbitmq(case: TopicCase) -> None:
    assert matches(case.pattern, case.topic) is case.matches


def test_the_table_holds_all_286_cases_of_rabbitmqs_own_test() -> None:
    assert len(RABBITMQ_CASES) == 286


@given(
    pattern=st.lists(st.sampled_from(["a", "b", "*", "#"]), max_size=6),
    topic=st.lists(st.sampled_from(["a", "b", ""]), max_size=6).filter(lambda words: words != [""]),
)
def test_a_pattern_matches_as_its_regular_expression_does(pattern: list[str], topic: list[str]) -> None:
    assert matches(".".join(pattern), ".".join(topic)) is _as_regular_expression(pattern, topic)


def test_a_pattern_of_many_hashes_is_decided_at_once() -> None:
    assert not matches(".".join(["#", "a"] * 40), ".".join(["a"] * 39 + ["b"]))


def _as_regular_expression(pattern: list[str], topic: list[str]) -> bool:
    """Each word is followed by a slash, which no word holds: so there is no first or last to think of."""
    translated = {"*": "[^/]*/", "#": "([^/]*/)*"}
    expression = "".join(translated.get(word, f"{word}/") for word in pattern)
    return re.fullmatch(expression, "".join(f"{word}/" for word in topic)) is not None
