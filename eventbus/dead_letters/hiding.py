"""A text without the values that it tells, and without what a cut has left of them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain, groupby
from typing import Final

from eventbus.errors import inert
from eventbus.secret import MASK

_STRETCH: Final = 5
"""Characters of a value that are not shown one after another."""
_WORD: Final = 3
"""Characters. A value of no more is in any text: it counts only as a whole word."""
_CUT: Final = re.compile(r"…|\.\.\.")
_WORD_BEGINS: Final = re.compile(r"(?<!\w)(?<!\d\.)")
_WORD_ENDS: Final = re.compile(r"(?!\w|\.\d)")


def without(text: str, values: Iterable[str]) -> str:
    """`text` with `MASK` in place of every stretch of a value. Takes time in proportion to each of them."""
    told = {form for value in values for form in _forms(value) if _says_something(form)}
    hidden = bytearray(len(text))
    for begin, end in chain(_stretches(text, told), _remains(text, told)):
        hidden[begin:end] = b"\1" * (end - begin)
    if not any(hidden):
        return text
    runs = groupby(zip(hidden, text, strict=True), key=lambda each: each[0])
    return "".join(MASK if is_hidden else "".join(c for _, c in run) for is_hidden, run in runs)


def _forms(value: str) -> Iterator[str]:
    """As it is, as `errors.describe` leaves it, and as a `repr` shows it."""
    yield value
    yield inert(" ".join(value.split()))
    yield repr(value)[1:-1]


def _says_something(value: str) -> bool:
    return len(value) > _WORD or any(map(str.isalnum, value))


def _stretches(text: str, values: Collection[str]) -> Iterator[tuple[int, int]]:
    """Where `_STRETCH` characters of a value are, or all of a shorter one."""
    by_size: defaultdict[int, list[str]] = defaultdict(list)
    for value in values:
        by_size[min(_STRETCH, len(value))].append(value)
    for size, alike in by_size.items():
        places = _places(text, size)
        for value in alike:
            for at in range(len(value) - size + 1):
                for begin in places.pop(value[at : at + size], ()):
                    if size > _WORD or _is_word(text, begin, begin + size):
                        yield begin, begin + size


def _places(text: str, size: int) -> dict[str, Sequence[int]]:
    """Where each stretch of so many characters begins."""
    places: defaultdict[str, list[int]] = defaultdict(list)
    for at in range(len(text) - size + 1):
        places[text[at : at + size]].append(at)
    return dict(places)


def _remains(text: str, values: Collection[str]) -> Iterator[tuple[int, int]]:
    """The beginnings before a cut, and the ends behind one, that are too short to be found otherwise.

    Of a single character it is told by chance what it is of: it counts at the edge of a word only.
    """
    cuts = [cut.span() for cut in _CUT.finditer(text)]
    if not cuts:
        return
    sizes = range(1, _STRETCH)
    heads = {value[:size] for value in values for size in sizes}
    tails = {value[-size:] for value in values for size in sizes}
    for before, behind in cuts:
        for size in sizes:
            begin, end = max(0, before - size), behind + size
            if text[begin:before] in heads and (size > 1 or _WORD_BEGINS.match(text, begin)):
                yield begin, before
            if text[behind:end] in tails and (size > 1 or _WORD_ENDS.match(text, end)):
                yield behind, min(end, len(text))


def _is_word(text: str, begin: int, end: int) -> bool:
    return bool(_WORD_BEGINS.match(text, begin) and _WORD_ENDS.match(text, end))
