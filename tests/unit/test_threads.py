from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref
from functools import partial

import pytest

from eventbus.threads import HandlerThreads
from tests.support.eventually import eventually_sync


class Gate:
    """Holds the threads that go through it until it is opened, and counts them."""

    def __init__(self) -> None:
        self.inside = 0
        self._lock = threading.Lock()
        self._open = threading.Event()

    def go_through(self) -> str:
        with self._lock:
            self.inside += 1
        assert self._open.wait(10)
        return threading.current_thread().name

    def open(self) -> None:
        self._open.set()


def test_a_call_runs_in_a_thread_that_bears_the_subscriptions_name():
    threads = HandlerThreads(2, "payment.charge")
    assert threads.submit(lambda: threading.current_thread().name).result(5) == "payment.charge-1"


def test_no_more_run_at_once_than_allowed_and_the_others_wait_their_turn():
    threads, gate = HandlerThreads(3, "payment.charge"), Gate()
    futures = [threads.submit(gate.go_through) for _ in range(10)]
    eventually_sync(lambda: gate.inside == 3)
    assert not any(future.done() for future in futures)
    gate.open()
    assert len({future.result(5) for future in futures}) <= 3
    assert gate.inside == 10


def test_a_thread_that_is_free_is_used_again():
    threads = HandlerThreads(3, "payment.charge")
    names: set[str] = set()
    for _ in range(20):
        names.add(threads.submit(lambda: threading.current_thread().name).result(5))
        eventually_sync(lambda: threads._idle._value == 1)  # type: ignore[attr-defined]
    assert names == {"payment.charge-1"}


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1), KeyboardInterrupt()])
def test_whatever_is_raised_belongs_to_the_future_and_the_thread_goes_on(error: BaseException):
    threads = HandlerThreads(1, "payment.charge")

    def fails() -> None:
        raise error

    assert threads.submit(fails).exception(5) is error
    assert threads.submit(lambda: 7).result(5) == 7


def test_a_call_that_was_cancelled_before_its_turn_does_not_run():
    threads, gate = HandlerThreads(1, "payment.charge"), Gate()
    ran: list[str] = []
    threads.submit(gate.go_through)
    waiting = threads.submit(partial(ran.append, "ran"))
    assert waiting.cancel()
    gate.open()
    assert threads.submit(lambda: 7).result(5) == 7
    assert ran == []


def test_once_stopped_nothing_waiting_runs_and_every_thread_ends():
    threads, gate = HandlerThreads(2, "a-pool-of-its-own"), Gate()
    running = [threads.submit(gate.go_through) for _ in range(2)]
    waiting = threads.submit(gate.go_through)
    threads.stop()
    assert waiting.cancelled()
    gate.open()
    assert all(future.result(5) for future in running)
    eventually_sync(lambda: not [t for t in threading.enumerate() if t.name.startswith("a-pool-of-its-own")])


def test_an_idle_thread_keeps_no_event_alive():
    class Payload:
        pass

    threads, payload = HandlerThreads(1, "payment.charge"), Payload()
    reference = weakref.ref(payload)
    threads.submit(partial(id, payload)).result(5)
    del payload
    eventually_sync(lambda: gc.collect() >= 0 and reference() is None)


def test_a_function_that_never_returns_does_not_keep_its_process_from_ending():
    program = (
        "import threading\n"
        "from eventbus.threads import HandlerThreads\n"
        "begun = threading.Event()\n"
        "def hangs():\n"
        "    begun.set()\n"
        "    threading.Event().wait()\n"
        "HandlerThreads(1, 'hanging').submit(hangs)\n"
        "assert begun.wait(10)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=30, check=False).returncode == 0


def test_what_no_thread_can_be_begun_for_is_not_run_later_by_another(monkeypatch: pytest.MonkeyPatch):
    """Whoever asked was told, and asks again: it would run twice."""
    threads, ran = HandlerThreads(2, "payment.charge"), list[int]()
    with monkeypatch.context() as patching:
        patching.setattr(threading.Thread, "start", _too_many)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            threads.submit(partial(ran.append, 1))

    for number in (2, 3):
        threads.submit(partial(ran.append, number)).result(5)

    assert ran == [2, 3]


def _too_many(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")
