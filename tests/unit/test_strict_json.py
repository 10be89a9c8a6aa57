from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.strict_json import (
    BadJson,
    JsonLimits,
    first_not_finite,
    has_long_number,
    looks_readable,
    read_object,
)

LIMITS = JsonLimits(nesting=100, digits=1000)

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


def nested(depth: int, opening: bytes = b'{"a":', closing: bytes = b"}", innermost: bytes = b"1") -> bytes:
    return opening * depth + innermost + closing * depth


def refusal(body: bytes) -> str:
    with pytest.raises(BadJson) as caught:
        read_object(body, LIMITS)
    return str(caught.value)


@given(st.dictionaries(st.text(), JSON_VALUES, max_size=10))
def test_every_ordinary_object_is_read_as_it_is_and_looks_so(members: dict[str, Any]):
    for written in (json.dumps(members), json.dumps(members, ensure_ascii=False, indent=1)):
        assert read_object(written.encode(), LIMITS) == members
        assert looks_readable(written.encode(), LIMITS)


@given(st.binary(max_size=200) | st.text(alphabet='{}[]":,\\u0eE+-.1ntf \n', max_size=60).map(str.encode))
def test_anything_else_is_refused_as_bad_json_and_in_no_other_way(body: bytes):
    try:
        assert isinstance(read_object(body, LIMITS), dict)
    except BadJson as error:
        assert str(error)  # noqa: PT017 -- either is right


@given(st.integers(4, 1000), st.integers(0, 2000), st.integers(0, 2000))
def test_a_long_run_of_digits_is_seen_wherever_it_is(limit: int, before: int, behind: int):
    run = b"7" * (limit // 4)
    body = b"a" * before + run + b"a" * behind
    assert has_long_number(body, JsonLimits(digits=limit)) is (len(body) > limit)
    assert not has_long_number(body.replace(run, run[1:] + b"a"), JsonLimits(digits=limit))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "the body is empty"),
        (b" ", "EOF"),
        (b"null", "no JSON object but NoneType"),
        (b"[]", "no JSON object but list"),
        (b'"text"', "no JSON object but str"),
        (b"1", "no JSON object but int"),
        (b'{"a":1', "EOF"),
        (b'{"a":1}}', "trailing"),
        (b'{"a":1}{"a":1}', "trailing"),
        (b"{'a':1}", "key"),
        (b'{"a":1,}', "trailing comma"),
        (b'\xef\xbb\xbf{"a":1}', "expected value"),
        ('{"a":1}'.encode("utf-16"), "expected value"),
        (b'{"a":"\xff"}', "unicode"),
        (b'{"a":"\xed\xa0\x80"}', "unicode"),
        (b'{"a":"\\ud800"}', "escape"),
        (b'{"a":"\x00"}', "control character"),
        (b'{"a":NaN}', "expected value"),
        (b'{"a":Infinity}', "expected value"),
        (b'{"a":-Infinity}', "invalid number"),
        (b'{"a":1e400}', "out of range"),
        (b'{"a":[[-1E+400]]}', "out of range"),
        (b'{"a":%b.0}' % (b"9" * 400), "out of range"),
        (b'{"a":%b}' % (b"9" * 1001), "1001 digits, 1000 are allowed"),
        (b'{"a":-%b}' % (b"9" * 5000), "number out of range"),
        (b'{"a":0.%b}' % (b"3" * 5000), "5002 digits, 1000 are allowed"),
        (b'{"a":%b.%b}' % (b"1" * 300, b"3" * 900), "1201 digits, 1000 are allowed"),
        (nested(101), "nested 101 deep, 100 are allowed"),
        (b'{"a":%b}' % nested(100, b"[", b"]"), "nested 101 deep, 100 are allowed"),
        (nested(10_000), "recursion limit"),
        (b'{"a":1,"a":1}', "the name 'a' stands twice"),
        (b'{"a" : 1,"a":1}', "the name 'a' stands twice"),
        (b'{"a"\t\n:1,"b":{"c":1,"c":2}}', "the name 'c' stands twice"),
        (b'{"a":1,"\\u0061":2}', "the name 'a' stands twice"),
        (b'{"x":"\\":","a":1,"a":2}', "the name 'a' stands twice"),
        (b'{"\\u001b[31m":1,"\\u001b[31m":2}', "stands twice"),
    ],
)
def test_a_body_that_breaks_a_rule_is_refused_with_the_rule(body: bytes, told: str):
    problem = refusal(body)
    assert told in problem
    assert problem.isprintable()


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":%b}' % (b"9" * 1000),
        b'{"a":0.%b}' % (b"3" * 998),
        b'{"a":1e308,"b":1E-999,"c":-0}',
        nested(100),
        b'{"a":"%b"}' % (b"9" * 5000),
        b'{"a":"1e999","b":"\\":","c":"\\u0022 :"}',
        b'{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}',
        b' {"a" : 1 , "b"\n:\t2 } ',
        b"{}",
    ],
)
def test_a_body_within_the_limits_is_read(body: bytes):
    assert read_object(body, LIMITS) == json.loads(body)


def test_a_name_that_stands_twice_among_a_hundred_thousand_is_found_at_once():
    members = ",".join(f'"{number}":1' for number in range(100_000))
    began = time.process_time()
    assert "stands twice" in refusal(f'{{{members},"99999":2}}'.encode())
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ('{"data":{"total":NaN}}', "data.total"),
        ('{"data":{"prices":[1,{"net":-Infinity}]}}', "data.prices[1].net"),
        ('{"data":{"NaN":"Infinity"}}', None),
    ],
)
def test_a_number_that_json_has_not_is_found_by_its_path(written: str, path: str | None):
    assert first_not_finite(written.encode()) == path


@pytest.mark.parametrize(
    ("body", "readable"),
    [
        (nested(100), True),
        (nested(101), False),
        (nested(101, b"[", b"]"), False),
        (b'{"a":[%b]}' % b",".join([b'{"b":[1]}'] * 200), True),
        (b'{"a":%b}' % (b"9" * 1001), False),
    ],
)
def test_nesting_and_numbers_are_looked_at_before_a_body_is_sent(body: bytes, readable: bool):
    assert looks_readable(body, LIMITS) is readable
