"""What is marked, or a pydantic secret, is found in whatever shape an annotation has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Generic, NamedTuple, NewType, NotRequired, TypeVar

import pydantic
import pytest
from pydantic import BaseModel, Field, SecretBytes, SecretStr
from typing_extensions import TypeAliasType, TypedDict

from eventbus import Event, Secret
from eventbus.codec import Codec
from eventbus.errors import InvalidEvent
from eventbus.hints import within
from eventbus.secret import MASK, Secrets, is_marked
from tests.support.handling import wrapped

T = TypeVar("T")
Hidden = Annotated[str, Secret()]


@dataclass
class Sizes:
    x0: int | None
    x1: list[list[int]]
    x2: list[int]
    x3: list[list[int]]


class Cards(TypedDict):
    p0: set[int]
    p1: list[str] | None
    y: dict[str, Annotated[str, Secret()]]


class Measured(Event, type="card.measured"):
    sizes: Sizes
    cards: Cards


def test_what_is_gone_through_is_seen_once_and_nothing_else_is_taken_for_it():
    """Annotations that are texts are made anew each time: the next may lie where the one before lay."""
    assert all(is_marked(Measured) for _ in range(100))
    data = {"cards": {"y": {"mine": "4111"}}}
    assert Secrets([Measured]).data("card.measured", data) == {"cards": {"y": {"mine": MASK}}}


# Each with a member `number` of the type that is asked for.


def dataclass_of(kind: Any) -> Any:
    return dataclass(type("Made", (), {"__annotations__": {"number": kind}}))


def pydantic_dataclass_of(kind: Any) -> Any:
    return pydantic.dataclasses.dataclass(type("Made", (), {"__annotations__": {"number": kind}}))


def typed_dict_of(kind: Any) -> Any:
    return TypedDict("Made", {"number": NotRequired[kind]})  # type: ignore[misc]


def named_tuple_of(kind: Any) -> Any:
    return NamedTuple("Made", [("number", kind)])  # type: ignore[misc]


def model_of(kind: Any) -> Any:
    return pydantic.create_model("Made", number=(kind, ...))


@dataclass
class Box(Generic[T]):
    number: T


class BoxDict(TypedDict, Generic[T]):
    number: T


class BoxModel(BaseModel, Generic[T]):
    number: T


AliasOfBox = TypeAliasType("AliasOfBox", Box[T], type_params=(T,))
AliasOfModel = TypeAliasType("AliasOfModel", BoxModel[T], type_params=(T,))

OBJECTS = [
    *(dataclass_of, pydantic_dataclass_of, typed_dict_of, named_tuple_of, model_of),
    lambda kind: Box[kind],
    lambda kind: BoxDict[kind],
    lambda kind: BoxModel[kind],
    lambda kind: AliasOfBox[kind],
    lambda kind: AliasOfModel[kind],
    lambda kind: TypeAliasType("Alias", model_of(kind) | None),  # type: ignore[misc]
    lambda kind: NewType("Made", dataclass_of(kind)),  # type: ignore[valid-newtype]
    lambda kind: model_of(TypeAliasType("Alias", kind)),  # type: ignore[misc]
    lambda kind: model_of(NewType("Number", kind)),  # type: ignore[valid-newtype]
]


@pytest.mark.parametrize("made_of", OBJECTS)
@pytest.mark.parametrize("number", ["4111", ["4111"]])
def test_a_mark_masks_in_every_shape_of_object(made_of: Any, number: Any):
    kind = Hidden if isinstance(number, str) else list[Hidden]

    class CardAdded(Event, type="card.added"):
        __annotations__ = {"card": made_of(kind), "name": str}

    data = {"card": {"number": number}, "name": "Ada"}
    hidden = MASK if isinstance(number, str) else [MASK]
    assert Secrets([CardAdded]).data("card.added", data) == {"card": {"number": hidden}, "name": "Ada"}


@pytest.mark.parametrize("made_of", OBJECTS)
@pytest.mark.parametrize("kind", [SecretStr, SecretBytes, pydantic.Secret[int], list[SecretStr]])
def test_a_pydantic_secret_is_known_in_every_shape_of_object(made_of: Any, kind: Any):
    class CardAdded(Event, type="card.added"):
        __annotations__ = {"user_id": int, "card": made_of(kind)}

    assert CardAdded.__event_secret__ == "card"


@pytest.mark.parametrize("made_of", OBJECTS)
def test_what_holds_no_secret_is_no_secret(made_of: Any):
    class CardAdded(Event, type="card.added"):
        __annotations__ = {"card": made_of(int)}

    assert (CardAdded.__event_secret__, is_marked(CardAdded)) == ("", False)


Alias = TypeAliasType("Alias", SecretStr)


def test_a_pydantic_secret_behind_an_alias_is_not_published():
    class CardAdded(Event, type="card.added"):
        card: Alias

    with pytest.raises(InvalidEvent, match=r"data\.card of card\.added holds a secret"):
        Codec().encode(wrapped(CardAdded(card=SecretStr("4111"))))


class Pair(NamedTuple):
    name: str
    number: Hidden


class PairAdded(Event, type="pair.added"):
    pair: Pair


@pytest.mark.parametrize(
    ("pair", "shown"), [(["Ada", "4111"], ["Ada", MASK]), (["Ada"], ["Ada"]), (["Ada", "x", "4111"], MASK)]
)
def test_a_named_tuple_is_masked_by_position(pair: list[str], shown: object):
    assert Secrets([PairAdded]).data("pair.added", {"pair": pair}) == {"pair": shown}


Json = TypeAliasType("Json", "dict[str, Json] | list[Json] | Hidden | None")


@dataclass
class Tree(Generic[T]):
    value: T
    below: list[Tree[list[T]]]


def test_what_holds_itself_has_an_end():
    assert is_marked(Json)
    assert is_marked(Tree[Hidden])
    assert not is_marked(Tree[int])


@dataclass
class Named:
    number: Annotated[str, Secret(), Field(alias="cardNumber")]
    code: Hidden = Field(alias="cardCode")  # noqa: RUF009 -- it is for pydantic
    issuer: ClassVar[SecretStr]


class NamedAdded(Event, type="named.added"):
    card: Named


def test_a_member_is_known_by_its_alias_too():
    data = {"card": {"cardNumber": "4111", "cardCode": "123"}}
    shown = {"card": {"cardNumber": MASK, "cardCode": MASK}}
    assert Secrets([NamedAdded]).data("named.added", data) == shown


def test_what_is_no_member_does_not_travel():
    assert NamedAdded.__event_secret__ == ""


def test_where_a_name_is_known_to_nobody_all_may_be_marked_and_the_rest_is_known():
    class Local(BaseModel):
        x: int

    @dataclass
    class Card:
        local: Local
        number: SecretStr
        name: str

    assert SecretStr in within(Card)

    class CardAdded(Event, type="card.added"):
        __annotations__ = {"card": Card}

    shown = Secrets([CardAdded]).data("card.added", {"card": {"local": {"x": 1}, "name": "Ada"}})
    assert shown == {"card": {"local": MASK, "name": "Ada"}}


class Derived(BoxDict[Hidden]):
    name: str


class DerivedAdded(Event, type="derived.added"):
    card: Derived


def test_a_member_whose_type_a_derived_class_gives_is_masked():
    shown = Secrets([DerivedAdded]).data("derived.added", {"card": {"number": "4111", "name": "Ada"}})
    assert shown == {"card": {"number": MASK, "name": "Ada"}}
