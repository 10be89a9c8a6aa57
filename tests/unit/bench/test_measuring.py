import json
import subprocess
import sys

import pytest
from pika import BasicProperties

from bench.peers.body import Bodies
from bench.peers.job import Job, queue_names, to_json
from bench.peers.meter import Meter, Tally, cpu_seconds, percentiles
from bench.peers.pour import MOST, _chunks, publish_frames


def test_percentiles_are_of_the_nearest_rank_in_milliseconds() -> None:
    assert percentiles([n / 1000 for n in range(1000)]) == {"p50": 500.0, "p99": 990.0, "p99.9": 999.0}
    assert percentiles([0.002]) == {"p50": 2.0, "p99": 2.0, "p99.9": 2.0}


async def test_the_first_event_begins_the_time_and_the_last_ends_it() -> None:
    meter = Meter()
    tally = Tally(3, meter)
    tally.count()
    assert meter.began > 0
    tally.count()
    assert not tally.done.is_set()
    tally.count()
    assert tally.done.is_set()
    assert meter.seconds > 0


def test_the_cpu_time_of_children_counts() -> None:
    before = cpu_seconds()
    busy = "import sys, time\nwhile time.process_time() < 0.1: pass\nprint(flush=True)\nsys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", busy], stdin=-1, stdout=-1) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert cpu_seconds() - before > 0.05  # a child counts in ticks
        child.communicate()


@pytest.mark.parametrize("size", [300, 1000, 100_000])
def test_a_ready_made_body_has_the_size_that_is_asked_for(size: int) -> None:
    assert abs(len(Bodies(size).body(12_345)) - size) <= 8


def test_a_ready_made_body_is_an_envelope_of_ours() -> None:
    envelope = json.loads(Bodies(300).body(7))
    assert envelope["data"]["order_id"] == 7
    assert {"event_id", "event_type", "timestamp", "version", "data"} <= set(envelope)


def test_a_poured_message_is_split_by_the_frame_size() -> None:
    frames = publish_frames("events", "a.b", BasicProperties(delivery_mode=2), b"x" * (MOST + 10))
    assert frames.count(b"x" * 18) > 1
    assert len(frames) > MOST + 10


def test_poured_events_have_ids_of_their_own() -> None:
    message = b"id evt_%032d, again evt_%032d" % (0, 0)
    poured = b"".join(_chunks(message, 3, 40))
    assert poured == b"".join(b"id evt_%032d, again evt_%032d" % (n, n) for n in (40, 41, 42))


def test_a_job_survives_the_way_to_its_process() -> None:
    job = Job("eventbus", "consume", "amqp://", count=5, store="memory://")
    assert Job(**json.loads(to_json(job))) == job


def test_one_subscription_has_the_queue_that_all_others_use() -> None:
    assert queue_names(1) == ["bench.count"]
    assert queue_names(3) == ["bench.count", "bench.count_01", "bench.count_02"]
