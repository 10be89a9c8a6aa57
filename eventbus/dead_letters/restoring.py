"""What an edit leaves masked is what was there; where it could be what was elsewhere, the edit is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import cast

from eventbus.secret import MASK


def restored(edited: object, shown: object, original: object) -> object:
    """`edited` with the originals in place of the masks that it has kept from `shown`.

    A member is known by its name, an element of a list by its position only. So of the elements that an edit
    has changed one may hold a mask if it is the only one: two may have changed places. Raises `ValueError`
    for masks of which that is not so, and for one that stands where `shown` had none.
    """
    return _Places(shown).fill(edited, shown, original)


class _Places:
    """Knows all that is shown with a mask in it, in order to know it again in another place."""

    def __init__(self, shown: object) -> None:
        self._masked = {_text(each) for each in _objects(shown) if _holds_mask(each)}

    def fill(self, edited: object, shown: object, original: object) -> object:
        if edited == MASK:
            if shown == MASK:
                return original
            raise ValueError(f"{MASK} stands where none was: it cannot be moved, write the value itself")
        if not _holds_mask(edited):
            return edited
        if (text := _text(edited)) == _text(shown):
            return original
        if text in self._masked:
            raise ValueError(
                f"what holds {MASK} stands where another was: it cannot be moved, write the value"
            )
        if isinstance(edited, dict):
            return {
                name: self.fill(value, _member(shown, name), _member(original, name))
                for name, value in cast("dict[str, object]", edited).items()
            }
        return self._filled_list(_items(edited), _items(shown), _items(original))

    def _filled_list(self, edited: list[object], shown: list[object], original: list[object]) -> list[object]:
        if len(edited) != len(shown):
            raise ValueError(
                f"a list that holds {MASK} is longer or shorter: it cannot be moved, write the values"
            )
        changed = [new for new, old in zip(edited, shown, strict=True) if _text(new) != _text(old)]
        if len(changed) > 1 and any(map(_holds_mask, changed)):
            raise ValueError(
                f"several elements of a list are changed, and {MASK} is in one of them: "
                "it cannot be moved, change no other one or write the value"
            )
        return [self.fill(*each) for each in zip(edited, shown, original, strict=True)]


def _member(value: object, name: str) -> object:
    return cast("dict[str, object]", value).get(name) if isinstance(value, dict) else None


def _items(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _below(value: object) -> list[object]:
    return list(cast("dict[str, object]", value).values()) if isinstance(value, dict) else _items(value)


def _objects(value: object) -> Iterator[object]:
    """All objects and lists in it that hold something, itself included."""
    if below := _below(value):
        yield value
        for each in below:
            yield from _objects(each)


def _holds_mask(value: object) -> bool:
    return value == MASK or any(MASK in _below(each) for each in _objects(value))


def _text(value: object) -> str:
    """To compare: in Python 1 is True."""
    return json.dumps(value, sort_keys=True)
