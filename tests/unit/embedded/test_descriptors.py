from __future__ import annotations

from pathlib import Path

from eventbus.embedded import EmbeddedTransport
from eventbus.errors import BrokerUnreachable
from tests.support.descriptors import descriptors_left, open_descriptors

ENOUGH = 12


async def test_a_process_with_too_many_open_files_has_no_broker_for_a_while_and_leaves_none_open(path: Path):
    transport = EmbeddedTransport(str(path))
    await transport.open()  # the file is there from now on, and all that has to be imported
    await transport.close()
    before = open_descriptors()

    told: list[str] = []
    for left in range(ENOUGH):
        try:
            with descriptors_left(left):
                await transport.open()
        except BrokerUnreachable as error:
            told.append(str(error))
        await transport.close()
        assert open_descriptors() == before

    assert 1 < len(told) < ENOUGH
    assert all("too many open files" in each for each in told)
