"""amqps: the broker's certificate is always verified."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from eventbus.errors import BrokerUnreachable
from eventbus.transport import Topology
from tests.integration.rabbitmq.scene import CHARGE, an_event, ids, opened_at, receive, send
from tests.support.ports import free_ports

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import StartNode

SELF_SIGNED = (
    "openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost "
    "-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout key.pem -out certificate.pem"
)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Of a broker on this machine, signed by itself; its key lies beside it."""
    subprocess.run(SELF_SIGNED.split(), cwd=tmp_path, check=True, capture_output=True)
    return tmp_path / "certificate.pem"


async def test_a_broker_is_trusted_by_the_authority_that_the_url_names(
    private_node: StartNode, certificate: Path
) -> None:
    (port,) = free_ports(1)
    private_node(
        config=f"listeners.ssl.1 = 127.0.0.1:{port}\n"
        f"ssl_options.cacertfile = {certificate}\n"
        f"ssl_options.certfile = {certificate}\n"
        f"ssl_options.keyfile = {certificate.with_name('key.pem')}\n"
    )

    async with opened_at(f"amqps://guest:guest@127.0.0.1:{port}/?cafile={certificate}") as transport:
        await transport.apply(Topology((CHARGE,)))
        await send(transport, an_event(1))
        assert ids(await receive(transport, CHARGE.name, 1)) == ["evt_1"]

    with pytest.raises(BrokerUnreachable, match="certificate verify failed"):
        async with opened_at(f"amqps://guest:guest@127.0.0.1:{port}/"):
            pass
