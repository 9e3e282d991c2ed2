"""The sandbox in a process of its own: it serves the same business, and is gone with whoever started it."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import httpx
import pytest

from journey_pipeline.sandbox import business, server
from journey_pipeline.sandbox.apart import serve_apart

NOW = datetime(2026, 5, 15, 12, tzinfo=UTC)
STARTER = """
import sys, time
from datetime import datetime
from journey_pipeline.sandbox.apart import serve_apart
with serve_apart(40, 7, datetime.fromisoformat(sys.argv[1])) as urls:
    print(urls()["zendesk"], flush=True)
    time.sleep(600)
"""


def tickets(url: str) -> httpx.Response:
    auth = (server.secrets()["ZENDESK_EMAIL"] + "/token", server.secrets()["ZENDESK_API_TOKEN"])
    return httpx.get(f"{url}/api/v2/incremental/tickets/cursor", params={"start_time": 0}, auth=auth)


def test_it_serves_the_same_business() -> None:
    with serve_apart(40, 7, NOW) as urls:
        told = tickets(urls()["zendesk"])
    with server.serve(business.generate(40, 7, NOW), ("zendesk",)) as here:
        same = tickets(here["zendesk"])
    assert told.status_code == same.status_code == 200
    assert told.json()["tickets"] == same.json()["tickets"] != []


def test_it_is_gone_even_if_who_started_it_was_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, NOW.isoformat()], stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout
        url = starter.stdout.readline().strip()
        assert httpx.get(url).status_code in {307, 401, 404}
        os.kill(starter.pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            httpx.get(url)
        except httpx.TransportError:
            return
        time.sleep(0.1)
    pytest.fail("it still serves")


def test_what_can_not_be_served_is_told() -> None:
    with serve_apart(40, -7, NOW) as urls, pytest.raises(ChildProcessError, match="ended with code 1"):
        urls()
