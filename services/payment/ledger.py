"""The gateway's books: one charge per idempotency key, for good."""

from __future__ import annotations

import sqlite3
import uuid
from decimal import Decimal
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

Status = Literal["captured", "declined", "refunded"]

NO_FUNDS: Final = "insufficient_funds"
CARD_DECLINED: Final = "card_declined"


class ChargeRequest(BaseModel):
    """What is to be taken from whom; `reference` is the caller's own name for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    amount: Decimal = Field(ge=0, max_digits=14, decimal_places=2)
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    customer: str = Field(min_length=1, max_length=64)
    reference: str = Field(min_length=1, max_length=128)


class Charge(ChargeRequest):
    """One line of the books. `reason` says why a declined one was declined."""

    charge_id: str
    idempotency_key: str
    status: Status
    reason: str | None


class KeyReused(Exception):
    """The idempotency key belongs to a charge of something else."""


class UnknownCharge(Exception):
    """There is no captured charge with this id."""


class Ledger:
    """On one SQLite file, so that a gateway that was killed knows its charges again."""

    def __init__(self, path: str) -> None:
        self._database = sqlite3.connect(path, isolation_level=None, timeout=5)
        self._database.row_factory = sqlite3.Row
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute(_SCHEMA)

    def close(self) -> None:
        self._database.close()

    def charge(self, request: ChargeRequest, key: str, *, decline: str | None) -> tuple[Charge, bool]:
        """The charge of this key, made now unless it was made before; and whether it is new.

        `decline` is the reason to decline a new one. Raises `KeyReused`.
        """
        charge = Charge(
            **request.model_dump(),
            charge_id=f"ch_{uuid.uuid4().hex}",
            idempotency_key=key,
            status="declined" if decline else "captured",
            reason=decline,
        )
        added = self._database.execute(_INSERT, charge.model_dump() | {"amount": str(charge.amount)})
        known = self._find("idempotency_key", key)
        if ChargeRequest(**known.model_dump(include=set(ChargeRequest.model_fields))) != request:
            raise KeyReused(key)
        return known, added.rowcount == 1

    def refund(self, charge_id: str) -> Charge:
        """The charge, given back; giving it back twice is giving it back once. Raises `UnknownCharge`."""
        self._database.execute(
            "UPDATE charges SET status = 'refunded' WHERE charge_id = ? AND status = 'captured'", (charge_id,)
        )
        charge = self._find("charge_id", charge_id)
        if charge.status != "refunded":
            raise UnknownCharge(charge_id)
        return charge

    def charges(self) -> list[Charge]:
        """All of them, oldest first."""
        rows = self._database.execute("SELECT * FROM charges ORDER BY rowid").fetchall()
        return [Charge(**row) for row in rows]

    def _find(self, column: Literal["idempotency_key", "charge_id"], value: str) -> Charge:
        query = {
            "idempotency_key": "SELECT * FROM charges WHERE idempotency_key = ?",
            "charge_id": "SELECT * FROM charges WHERE charge_id = ?",
        }[column]
        row = self._database.execute(query, (value,)).fetchone()
        if row is None:
            raise UnknownCharge(value)
        return Charge(**row)


_SCHEMA = """
    CREATE TABLE IF NOT EXISTS charges (
        charge_id       TEXT NOT NULL UNIQUE,
        idempotency_key TEXT NOT NULL UNIQUE,
        reference       TEXT NOT NULL,
        customer        TEXT NOT NULL,
        amount          TEXT NOT NULL,
        currency        TEXT NOT NULL,
        status          TEXT NOT NULL CHECK (status IN ('captured', 'declined', 'refunded')),
        reason          TEXT
    )
"""
_INSERT = """
    INSERT INTO charges
        (charge_id, idempotency_key, reference, customer, amount, currency, status, reason)
    VALUES
        (:charge_id, :idempotency_key, :reference, :customer, :amount, :currency, :status, :reason)
    ON CONFLICT (idempotency_key) DO NOTHING
"""
