"""The client in C, compiled where gcc and librabbitmq are there, or may be installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).parent / "clients" / "c_client.c"
PACKAGE = "librabbitmq-dev"


def c_client(directory: Path) -> Path | str:
    """The program, made in `directory`; or why there is none."""
    if (compiler := shutil.which("cc") or shutil.which("gcc")) is None:
        return "there is no C compiler"
    if not _has_library(compiler) and not _install():
        return f"librabbitmq is not installed (Debian, Ubuntu: {PACKAGE})"
    program = directory / "c_client"
    command = [compiler, "-O2", "-o", str(program), str(SOURCE), "-lrabbitmq"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return program if done.returncode == 0 else f"it does not compile: {done.stderr.strip()[:500]}"


def compiler_version() -> str:
    """Of the first line that it says of itself."""
    if (compiler := shutil.which("cc") or shutil.which("gcc")) is None:
        return "none"
    said = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    return said.stdout.partition("\n")[0]


def _has_library(compiler: str) -> bool:
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory) / "probe.c"
        source.write_text(
            "#include <amqp.h>\nint main(void) { return !amqp_version_number(); }\n", encoding="ascii"
        )
        command = [compiler, "-o", str(source.with_suffix("")), str(source), "-lrabbitmq"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603


def _install() -> bool:
    """Only where that needs no password: as root, on a Debian."""
    apt = shutil.which("apt-get")
    if os.geteuid() != 0 or apt is None:
        return False
    sys.stderr.write(f"bench: installing {PACKAGE}\n")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = [apt, "install", "-qq", "-y", "--no-install-recommends", PACKAGE]
    for command in (install, [apt, "update", "-qq"], install):
        done = subprocess.run(command, capture_output=True, env=environment, check=False)  # noqa: S603
        if command is install and done.returncode == 0:
            return True
    return False
