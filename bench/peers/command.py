"""`script/bench peers | all | quick | growth`: what to measure, and where the figures go."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from bench.peers import cases, growth, report
from bench.peers.bars import judge
from bench.peers.broker import BenchBroker
from bench.peers.cases import Case, Side
from bench.peers.compiling import c_client
from bench.peers.job import Result
from bench.peers.plot import svg
from bench.peers.rounds import Outcome, Unavailable, measure
from bench.peers.running import RunFailed, Runner
from bench.peers.versions import facts, in_one_line
from tests.support.broker import Broker
from tests.support.lifeline import Lifeline
from tests.support.postgres_server import PostgresServer
from tests.support.rabbitmq_node import RabbitNode
from tests.support.redis_server import RedisServer

PROGRAMS = {"peers": cases.peers, "all": cases.everything, "quick": cases.quick}
GROWTH = "growth"
WORDS = frozenset({*PROGRAMS, GROWTH})


@dataclass(frozen=True, slots=True)
class Choices:
    """What was asked for."""

    program: str
    rounds: int
    seconds: float
    only: str
    url: str | None
    json: Path | None
    svg: Path | None
    short: bool


def main(words: list[str]) -> None:
    choices = _parse(words)
    console = Console(width=118)
    load = os.getloadavg()[0] / len(os.sched_getaffinity(0))
    with _places(choices.url) as (runner, directory, lifeline, node):
        found = facts(node, runner.c_client)
        console.print(in_one_line(found))
        if choices.program == GROWTH:
            deep = not choices.short
            curves = growth.run(
                runner, choices.rounds, choices.seconds, console, deep=deep, only=choices.only
            )
            _write(choices.json, json.dumps({"versions": found, "curves": curves}, indent=1))
            if doubts := report.doubts(choices.rounds, choices.seconds, load):
                console.print(f"These curves decide nothing: {'; '.join(doubts)}.")
            return
        outcomes = _outcomes(choices, _Stores(runner, directory, lifeline), console)
        judged = judge(outcomes)
        console.print(report.bar_table(judged))
        if doubts := report.doubts(choices.rounds, choices.seconds, load):
            console.print(f"These verdicts decide nothing: {'; '.join(doubts)}.")
        command = f"script/bench {' '.join(words)}"
        made = report.as_json(
            outcomes, judged, {**found, "load for each core before": f"{load:.1f}"}, command
        )
        _write(choices.json, json.dumps(made, indent=1, ensure_ascii=False))
        _write(choices.svg, svg(outcomes, _caption(found, command)))


def _parse(words: list[str]) -> Choices:
    parser = argparse.ArgumentParser(
        prog="script/bench",
        description="The same work for eventbus and for what one would use instead, or how its cost grows.",
    )
    parser.add_argument("program", choices=[*PROGRAMS, GROWTH])
    parser.add_argument("--rounds", type=int, help="how often each side runs (default 5; quick: 1)")
    parser.add_argument("--seconds", type=float, help="of one run, about (default 3.5; quick: 0.7)")
    parser.add_argument("--only", default="", help="cases or curves whose title contains this")
    parser.add_argument(
        "--url", help="amqp://… with its management API 10 000 ports above; default: a private node"
    )
    parser.add_argument("--json", type=Path, help="every figure of every round")
    parser.add_argument("--svg", type=Path, help="a plot")
    parser.add_argument("--short", action="store_true", help="growth: no queue of a million")
    given = parser.parse_args(words)
    is_quick = given.program == "quick"
    return Choices(
        given.program,
        given.rounds or (1 if is_quick else 5),
        given.seconds or (0.7 if is_quick else 3.5),
        given.only,
        given.url,
        given.json,
        given.svg,
        given.short,
    )


@contextmanager
def _places(url: str | None) -> Iterator[tuple[Runner, Path, Lifeline, str]]:
    """A broker with a virtual host of our own; what was started ends with this."""
    with ExitStack() as stack:
        lifeline = Lifeline()
        stack.callback(lifeline.cut)
        if url is None:
            node = RabbitNode(lifeline.directory)
            node.start()
            broker, groups = (
                node.broker,
                [int(group.name) for group in (lifeline.directory / "groups").iterdir()],
            )
        else:
            broker, groups = Broker.at(url), []
        vhost = broker.create_vhost()
        stack.callback(broker.delete_vhost, vhost)
        version = str(broker.api("GET", "overview")["rabbitmq_version"])
        bench = BenchBroker(broker.amqp_url(vhost), groups)
        yield Runner(bench, c_client(lifeline.directory)), lifeline.directory, lifeline, version


class _Stores:
    """Where the inbox of a run is: a file of its own, or a server that starts when first asked for."""

    def __init__(self, runner: Runner, directory: Path, lifeline: Lifeline) -> None:
        self._runner = runner
        self._directory = directory
        self._lifeline = lifeline
        self._files = 0
        self._servers: dict[str, str] = {}

    def run(self, side: Side) -> Result:
        job = replace(side.job, store=self._url(side.job.store))
        return self._runner.run(job, history=side.history)

    def _url(self, store: str) -> str:
        match store:
            case "":
                return ""
            case "memory":
                return "memory://"
            case "SQLite":
                self._files += 1
                return f"sqlite:///{self._directory}/inbox-{self._files}.db"
        if store not in self._servers:
            self._servers[store] = self._start(store)
        return self._servers[store]

    def _start(self, store: str) -> str:
        try:
            server: PostgresServer | RedisServer = (
                PostgresServer(self._lifeline.directory, fsync=True)
                if store == "PostgreSQL"
                else RedisServer(self._lifeline.directory, appendonly=True)
            )
            server.start()
        except (AssertionError, OSError) as problem:
            raise Unavailable(str(problem)) from problem
        return server.url


def _outcomes(choices: Choices, stores: _Stores, console: Console) -> list[Outcome]:
    chosen: list[Case] = [case for case in PROGRAMS[choices.program]() if choices.only in case.title]
    outcomes: list[Outcome] = []
    for case in chosen:
        outcome = measure(case, choices.rounds, choices.seconds, stores.run, (RunFailed, RuntimeError))
        console.print(report.table(outcome))
        outcomes.append(outcome)
    return outcomes


def _caption(found: dict[str, str], command: str) -> str:
    names = (
        "RabbitMQ",
        "eventbus",
        "aio-pika",
        "librabbitmq",
        "faststream",
        "taskiq",
        "dramatiq",
        "celery",
        "Python",
    )
    versions = ", ".join(f"{name} {found[name]}" for name in names if name in found)
    what = f"Medians; 300-byte events, persistent, confirmed, one quorum queue; {found['machine']}."
    return f"{what}\n{versions}.\n{command}"


def _write(path: Path | None, text: str) -> None:
    if path is not None:
        path.write_text(text, encoding="utf-8")
        sys.stderr.write(f"bench: wrote {path}\n")
