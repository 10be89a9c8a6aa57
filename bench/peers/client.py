"""The process of one run: `python -m bench.peers.client JOB`, the job as JSON.

Prints the result as one line of JSON, waits for the end of its input, and ends.
"""

from __future__ import annotations

import importlib
import json
import os
import sys

from bench.peers.job import Job, Result, to_json


def main() -> None:
    job = Job(**json.loads(sys.argv[1]))
    # The result alone goes to the output: what a library prints, as Celery its banner, goes to the errors.
    output = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def finish(result: Result) -> None:
        """Say what was measured; return when whoever started the process has read it."""
        os.write(output, to_json(result).encode() + b"\n")
        sys.stdin.read()

    client = importlib.import_module(f"bench.peers.clients.{job.client}")
    client.run(job, finish)


if __name__ == "__main__":
    main()
