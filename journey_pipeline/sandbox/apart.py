"""Serves a fictional business from a process of its own, so that who answers and who asks don't wait for each other.

The business is generated there again from the same arguments: the same to the byte.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime


@contextmanager
def serve_apart(people: int, seed: int, now: datetime) -> Iterator[Callable[[], Mapping[str, str]]]:
    """Begin to serve `business.generate(people, seed, now)` within its vendors' limits.

    Gives what waits until it is served and tells the base URL of each platform; that raises:
        ChildProcessError: if the other process ends before it serves; it has told why.
    """
    command = [sys.executable, "-m", __name__, str(people), str(seed), now.isoformat()]
    with subprocess.Popen(  # noqa: S603  our own module
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as child:

        def urls() -> Mapping[str, str]:
            told = child.stdout.readline() if child.stdout else ""
            if not told:
                msg = f"the sandbox ended with code {child.wait()} before it served anything"
                raise ChildProcessError(msg)
            served: Mapping[str, str] = json.loads(told)
            return served

        try:
            yield urls
        finally:
            child.terminate()


def main() -> None:
    """Serve until whoever started us is gone, which closes our standard input however they went."""
    from journey_pipeline.sandbox import business, server  # noqa: PLC0415  who starts us needs neither

    people, seed, now = sys.argv[1:]
    world = business.generate(int(people), int(seed), datetime.fromisoformat(now))
    with server.serve(world, limits=server.LIMITS) as urls:
        sys.stdout.write(json.dumps(urls) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
