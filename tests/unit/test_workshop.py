"""The laws that no linter knows."""

import ast
import importlib.util
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

from eventbus import Service

ROOT = Path(__file__).parents[2]
LONGEST = 300
SOURCES = sorted(
    path for room in ("eventbus", "schemas", "services", "tests") for path in (ROOT / room).rglob("*.py")
)
NAMES_THAT_SAY_NOTHING = {"util", "utils", "common", "helper", "helpers", "base", "manager", "misc"}


def lock() -> str:
    return (ROOT / "requirements.lock").read_text()


def locked() -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9.-]+)==([^ ;\\]+)", lock(), flags=re.MULTILINE))


def declared() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lists = [
        project["build-system"]["requires"],
        project["project"]["dependencies"],
        *project["project"]["optional-dependencies"].values(),
        *project["dependency-groups"].values(),
    ]
    return [Requirement(line) for requirements in lists for line in requirements]


def test_the_lock_ties_nobody_to_a_registry_or_a_machine() -> None:
    addresses = [line for line in lock().splitlines() if re.search(r"://|^\s*-[a-z-]|\s@\s|^\.", line)]
    assert [line for line in addresses if not line.lstrip().startswith("--hash=sha256:")] == []


def test_every_locked_version_has_a_hash() -> None:
    without = [name for name in locked() if not re.search(rf"^{name}==.*\\\n +--hash=", lock(), re.MULTILINE)]
    assert without == []


@pytest.mark.parametrize("requirement", declared(), ids=str)
def test_the_lock_meets_what_is_declared(requirement: Requirement) -> None:
    version = locked().get(canonicalize_name(requirement.name))
    assert version is not None, "not locked: CONTRIBUTING.md says how to compile the lock again"
    assert version in requirement.specifier


def test_a_file_is_a_room_with_one_job() -> None:
    long = [
        f"{path.relative_to(ROOT)}: {lines} lines"
        for path in SOURCES
        if (lines := len(path.read_text().splitlines())) > LONGEST and "Longer than" not in docstring(path)
    ]
    assert long == [], (
        f"over {LONGEST} lines: split it by meaning, or say in its docstring why: 'Longer than …'"
    )


def test_a_name_says_what_is_inside() -> None:
    assert [path for path in SOURCES if NAMES_THAT_SAY_NOTHING & set(path.stem.strip("_").split("_"))] == []
    assert [path for path in SOURCES if path.parent.name in NAMES_THAT_SAY_NOTHING] == []


def test_compose_starts_what_there_is_to_start() -> None:
    services = YAML(typ="safe").load(ROOT / "compose.yaml")["services"]  # pyright: ignore[reportUnknownMemberType]
    commands = [service["command"].split() for service in services.values() if "command" in service]
    assert len(commands) == 6
    for command in commands:
        match command:
            case ["python", "-m", module]:
                assert importlib.util.find_spec(module), module
            case ["eventbus", "run", target]:
                module, _, attribute = target.partition(":")
                assert isinstance(getattr(importlib.import_module(module), attribute), Service)
            case _:
                pytest.fail(f"no test runs {command}")


def docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text())) or ""
