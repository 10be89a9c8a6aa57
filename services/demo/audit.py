"""Whether every order ended as it should: in the shop, in the gateway's books, in the users' mailboxes."""

from __future__ import annotations

import mailbox
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from services.demo.customers import Placed
    from services.demo.plan import Ending


@dataclass(frozen=True, slots=True)
class Expected:
    """What there has to be for one order, once and not twice."""

    charge: str
    """The status of its one charge in the gateway's books."""
    mails: frozenset[str]


EXPECTED: Final[Mapping[Ending, Expected]] = {
    "completed": Expected("captured", frozenset({"confirmation"})),
    "declined": Expected("declined", frozenset({"confirmation", "payment_declined"})),
    "out_of_stock": Expected("refunded", frozenset({"confirmation", "out_of_stock"})),
}


def complaints(
    placed: Iterable[Placed],
    orders: Sequence[Mapping[str, Any]],
    charges: Sequence[Mapping[str, Any]],
    maildir: Path,
) -> list[str]:
    """Every difference between what is and what should be, in words; none if all is well."""
    status = {order["order_id"]: order["status"] for order in orders}
    charged: defaultdict[str, list[str]] = defaultdict(list)
    for charge in charges:
        charged[charge["reference"]].append(charge["status"])
    mailed = _mails(maildir)
    found: list[str] = []
    for each in placed:
        expected = EXPECTED[each.planned.ending]
        for what, is_, should in (
            ("ended as", status.get(each.order_id), each.planned.ending),
            ("was charged", charged[f"order-{each.order_id}"], [expected.charge]),
            ("was mailed", sorted(mailed[each.order_id]), sorted(expected.mails)),
        ):
            if is_ != should:
                found.append(f"order {each.order_id} {what} {is_}, not {should}")
    return found


def _mails(maildir: Path) -> defaultdict[int, list[str]]:
    """The kinds of mails of each order; one that was sent again is one mail, by its Message-ID."""
    seen = {
        str(mail["Message-ID"]): (int(str(mail["X-Shop-Order"])), str(mail["X-Shop-Mail"]))
        for mail in mailbox.Maildir(maildir, create=False)
    }
    mails: defaultdict[int, list[str]] = defaultdict(list)
    for order_id, kind in seen.values():
        mails[order_id].append(kind)
    return mails
