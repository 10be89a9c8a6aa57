"""How a process says to a store on PostgreSQL that it lives."""

from __future__ import annotations

import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from eventbus.databases.postgres.address import Address
from eventbus.store import StoreUnavailable
from eventbus.stores.options import StoreOptions
from eventbus.stores.postgres.owner import Owner
from eventbus.stores.postgres.statements import Statements

if TYPE_CHECKING:
    from collections.abc import Generator


@contextmanager
def no_file_to_open() -> Generator[None]:
    """For want of file descriptors; what is open stays open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# What Python has begun to make of a loop complains when it is thrown away.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_process_without_a_file_descriptor_for_its_life_sign_is_told_so() -> None:
    address = Address.of("postgresql://user@127.0.0.1:1/shop")
    owner = Owner(address, Statements("eventbus"), StoreOptions())

    with pytest.raises(StoreUnavailable, match="Too many open files"), no_file_to_open():
        owner.start()
