"""The bank account: its balance is what its events come to."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from schemas.account import AccountOpened, MoneyDeposited, MoneyWithdrawn
from services.account.account import Account, NotAllowed

ROOT = Path(__file__).parents[3]


def test_deposits_of_1000_200_and_300_less_200_are_1300():
    account = Account(id="42")
    account.replay(AccountOpened(owner="Ada"))
    for amount in (1000, 200, 300):
        account.replay(MoneyDeposited(amount=Decimal(amount)))
    account.replay(MoneyWithdrawn(amount=Decimal(200)))

    assert account.balance == 1300


def test_an_account_gives_no_more_than_it_has():
    account = Account(id="42")
    account.open("Ada")
    account.deposit(Decimal(10))

    with pytest.raises(NotAllowed, match="which has 10"):
        account.withdraw(Decimal(11))
    with pytest.raises(NotAllowed, match="open already"):
        account.open("Bob")
    with pytest.raises(NotAllowed):
        account.deposit(Decimal(0))

    assert [type(event) for event in account.pending] == [AccountOpened, MoneyDeposited]


def test_the_program_shows_the_balance_and_the_statement(tmp_path: Path):
    command = [sys.executable, "-m", "services.account.main", f"sqlite:///{tmp_path}/account.db"]

    ran = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT, timeout=60)

    assert ran.stdout.splitlines() == [
        "account 42 of Ada: 1300 after 5 events",
        "refused: cannot withdraw 5000 from account 42, which has 1300",
        "statement: +1000 +200 +300 -200 = 1300",
    ]
