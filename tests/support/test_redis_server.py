"""The Redis that tests are given."""

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import TimeoutError as NoAnswer

from tests.support.processes import alive
from tests.support.redis_server import RedisServer, connect, opened_empty


@pytest.mark.parametrize("turn", ["first", "second"])
def test_every_test_finds_its_logical_database_empty(redis_url: str, turn: str) -> None:
    with connect(redis_url) as client:
        assert client.keys() == []
        client.set(turn, "here")


def test_a_logical_database_that_holds_somebodys_keys_is_refused(redis_url: str) -> None:
    with connect(redis_url) as client:
        client.set("precious", "1")
    with pytest.raises(AssertionError, match="holds 1 keys"), opened_empty(redis_url):
        pass


def test_a_private_redis_can_be_killed_and_keeps_what_it_answered_for(redis: RedisServer) -> None:
    with connect(redis.url) as client:
        client.set("kept", "1")
        redis.kill()
        with pytest.raises(NoConnection):
            client.set("lost", "1")

    redis.start()

    with connect(redis.url) as client:
        assert client.keys() == [b"kept"]


def test_a_paused_redis_is_silent_and_goes_on_when_resumed(redis: RedisServer) -> None:
    with Redis.from_url(redis.url, socket_timeout=0.3) as client:
        client.ping()
        redis.pause()
        with pytest.raises(NoAnswer):
            client.ping()

        redis.resume()

        assert client.ping()


def test_a_private_redis_leaves_no_process_and_no_file_when_removed(redis: RedisServer) -> None:
    assert alive(redis.pid)
    redis.remove()
    assert not alive(redis.pid)
    assert not redis.home.exists()
