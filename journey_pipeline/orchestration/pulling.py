"""Reads the platforms of one run side by side: nearly all of their time is spent waiting for an answer."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock

from journey_pipeline.lake import Outcome
from journey_pipeline.records import Source

_AT_ONCE = 8  # a slow platform keeps none waiting, and a machine of two cores is not drowned

Load = Callable[[Source], list[Outcome]]


class Pulling:
    """What the ingestion steps of a process share. The first step of a run begins all of its platforms."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._runs: dict[str, dict[str, Future[list[Outcome]]]] = {}

    def outcomes(self, run: str, source: Source, chosen: Sequence[Source], load: Load) -> list[Outcome]:
        """What the load of `source` came to. `chosen`: all that this run reads, `source` among them.

        Raises:
            Exception: what the load raised.
        """
        with self._lock:
            if run not in self._runs:
                pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="pull")
                self._runs[run] = {one.name: pool.submit(load, one) for one in chosen}
                pool.shutdown(wait=False)
            # A step that is tried again finds nothing begun, and loads by itself.
            begun = self._runs[run].pop(source.name, None)
        return begun.result() if begun else load(source)
