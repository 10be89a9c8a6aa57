"""Ports that two servers of one run do not both get."""

import socket

import pytest

from tests.support import ports
from tests.support.ports import free_ports


def test_a_port_is_given_once() -> None:
    assert not set(free_ports(20)) & set(free_ports(20))


def test_each_worker_has_ports_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[set[int]] = []
    for worker in ("gw1", "gw2"):
        monkeypatch.setenv("PYTEST_XDIST_WORKER", worker)
        given.append({port // 1000 for port in free_ports(20)})

    assert [len(each) for each in given] == [1, 1]
    assert given[0] != given[1]


def test_what_somebody_listens_on_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = free_ports(1)
    monkeypatch.setattr(ports, "_given", set(range(15_000, 32_000)) - {port})
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        with pytest.raises(AssertionError, match="no port"):
            free_ports(1)

    assert free_ports(1) == [port]
