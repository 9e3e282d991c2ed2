"""`journey ui`: Dagster's web server and its daemon, which runs the schedules, as a child that ends with us."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from types import FrameType

from ruamel.yaml import YAML

from journey_pipeline.cli.daily import demo_home, prepare_dagster
from journey_pipeline.cli.screen import console
from journey_pipeline.errors import JourneyError
from journey_pipeline.orchestration.home import Home
from journey_pipeline.settings import load, places

_HOST = "127.0.0.1"
_DEFINITIONS = "journey_pipeline.orchestration.definitions"
_PATIENCE_S = 60  # Dagster's own for its servers; then they are killed


def serve_ui(*, port: int, is_demo: bool, settings: Path | None, home: Path | None) -> int:
    """Serve until Ctrl-C; gives the exit code of Dagster where it ended by itself."""
    _refuse_taken(port)
    if is_demo:
        place = demo_home(home)
        with _business(place) as (file, secrets):
            return _serve(port, place, {**secrets, "JOURNEY_SETTINGS": str(file.resolve())})
    where = places(os.environ, settings, home)
    load(where.settings)  # a mistake is told here, in words, not in the UI as a stack of frames
    return _serve(port, Home(where.home), {"JOURNEY_SETTINGS": str(where.settings.resolve())})


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            msg = f"port {port} can't be used ({error.strerror}); choose another: journey ui --port {port + 1}"
            raise JourneyError(msg) from error


@contextlib.contextmanager
def _business(place: Home) -> Iterator[tuple[Path, Mapping[str, str]]]:
    """Serve the business of the last demo on loopback: the settings that read it, and its keys."""
    from journey_pipeline.sandbox import business, server  # noqa: PLC0415  only the demo needs them
    from journey_pipeline.sandbox.apart import serve_apart  # noqa: PLC0415

    recipe = place.root / "demo.json"
    if not recipe.is_file():
        msg = f"no demo in {place.root}; run first: journey demo"
        raise JourneyError(msg)
    told = json.loads(recipe.read_text(encoding="utf-8"))
    with serve_apart(told["people"], told["seed"], datetime.fromisoformat(told["as_of"])) as urls:
        file = place.root / "journey.ui.yaml"
        _point(place.root / "journey.yaml", urls(), file)
        yield file, {**server.secrets(), **business.secrets(place.root)}


def _point(source: Path, urls: Mapping[str, str], target: Path) -> None:
    """The same settings, each platform at its address of the moment."""
    yaml = YAML()
    said = yaml.load(source)
    for name, options in said["platforms"].items():
        if (kind := options.get("type", name)) in urls:
            options["base_url"] = urls[kind]
    yaml.dump(said, target)


def _serve(port: int, place: Home, environment: Mapping[str, str]) -> int:
    prepare_dagster(place)
    root = place.root.resolve()
    command = [
        sys.executable, "-W", "ignore:Function `dev_command` is superseded", "-m", "dagster", "dev",
        "-h", _HOST, "-p", str(port), "-m", _DEFINITIONS, "--log-level", "warning",
    ]  # fmt: skip
    ours = {"JOURNEY_HOME": str(root), "DAGSTER_HOME": str(root / "dagster")}
    console.print(f"The Dagster UI comes up in a moment: [bold]http://{_HOST}:{port}[/]  Ctrl-C ends it.")
    with _asked_to_end() as asked:
        # A session of its own: Ctrl-C reaches us alone, and Dagster is told once.
        child = subprocess.Popen(command, env={**os.environ, **environment, **ours}, start_new_session=True)  # noqa: S603
        try:
            code = child.wait()
        except KeyboardInterrupt:
            child.send_signal(signal.SIGINT)
            code = _ended(child)
        finally:
            _end_rest(child)
        return 0 if asked else code


@contextlib.contextmanager
def _asked_to_end() -> Iterator[list[int]]:
    """Ctrl-C and a polite kill both end us by KeyboardInterrupt; a second one while ending is not heard."""
    asked: list[int] = []

    def ask(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        if len(asked) == 1:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _ended(child: "subprocess.Popen[bytes]") -> int:
    try:
        return child.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


def _end_rest(child: "subprocess.Popen[bytes]") -> None:
    """Its code server would otherwise notice only after a while that nobody is there any more."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
