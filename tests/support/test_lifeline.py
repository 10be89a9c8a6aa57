"""What a run leaves behind when it is not asked to clean up."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.eventually import eventually_sync
from tests.support.lifeline import Lifeline, attach, detach
from tests.support.processes import alive

OWNER = """
import subprocess, sys, time
from tests.support.lifeline import Lifeline, attach
lifeline = Lifeline()
server = subprocess.Popen(["sleep", "60"], start_new_session=True)
attach(lifeline.directory, server.pid)
print(lifeline.directory, server.pid, flush=True)
time.sleep(60)
"""


def test_a_killed_owner_takes_its_processes_and_its_files_along() -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        directory, server = owner.stdout.readline().split()
        assert alive(int(server))
        owner.send_signal(signal.SIGKILL)
        eventually_sync(lambda: not alive(int(server)))
        eventually_sync(lambda: not Path(directory).exists())


def test_cutting_ends_what_is_attached_and_spares_what_is_detached() -> None:
    lifeline = Lifeline()
    attached, detached = (subprocess.Popen(["sleep", "60"], start_new_session=True) for _ in range(2))
    for process in (attached, detached):
        attach(lifeline.directory, process.pid)
    detach(lifeline.directory, detached.pid)

    lifeline.cut()

    assert attached.wait(5) == -signal.SIGKILL
    assert not lifeline.directory.exists()
    assert detached.poll() is None
    os.killpg(detached.pid, signal.SIGKILL)
    detached.wait(5)
