from __future__ import annotations

from typing import TYPE_CHECKING

from eventbus.store import StoreUnavailable
from eventbus.stores.sqlite.store import SqliteStore
from tests.support.descriptors import descriptors_left, open_descriptors

if TYPE_CHECKING:
    from pathlib import Path

ENOUGH = 10


async def test_a_process_with_too_many_open_files_has_no_store_for_a_while_and_leaves_none_open(
    tmp_path: Path,
) -> None:
    store = SqliteStore(f"sqlite:///{tmp_path / 'store.db'}")
    await store.open()  # the file is there from now on, and all that has to be imported
    await store.close()
    before = open_descriptors()

    told: list[str] = []
    for left in range(ENOUGH):
        try:
            with descriptors_left(left):
                await store.open()
        except StoreUnavailable as error:
            told.append(str(error))
        await store.close()
        assert open_descriptors() == before

    assert 1 < len(told) < ENOUGH
    assert all("too many open files" in each for each in told)
