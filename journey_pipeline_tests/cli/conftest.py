"""One demo for the whole session, whichever of its processes asks first: a demo takes the better part of a minute."""

import fcntl
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

AS_OF = datetime(2026, 5, 15, 12, tzinfo=UTC)
COMMAND = [sys.executable, "-m", "journey_pipeline.cli"]
DEMO = [*COMMAND, "demo", "--people", "1000", "--seed", "3", "--as-of", AS_OF.isoformat()]


def run(command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=cwd)


@pytest.fixture(scope="session")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `journey demo` was given, with what it printed in `told`. It is everybody's: change a copy."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "demo_of_all"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "told").exists():
            done = run(DEMO, folder)
            assert done.returncode == 0, done.stdout + done.stderr
            (folder / "told").write_text(done.stdout)
    return folder
