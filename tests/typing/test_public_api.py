from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.mark.timeout(660)
@pytest.mark.parametrize(
    "checker",
    [
        ["mypy", "--strict", "--explicit-package-bases"],
        ["pyright", "--warnings"],
    ],
    ids=lambda command: command[0],
)
def test_a_type_checker_sees_the_public_api_as_it_is_meant(checker: list[str]):
    command = [sys.executable, "-m", *checker, str(HERE / "public_api.py")]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
