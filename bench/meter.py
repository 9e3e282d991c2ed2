"""What a stretch of work costs the process that does it."""

import json
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Cost:
    """Seconds on the wall and of CPU, and the most memory that the process has held so far."""

    phase: str
    wall_s: float
    cpu_s: float
    peak_gb: float


class Meter:
    """Costs, phase by phase, told to the parent process as JSON on standard output."""

    def __init__(self) -> None:
        self.costs: list[Cost] = []

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
        self.costs.append(Cost(name, time.perf_counter() - wall, time.process_time() - cpu, peak))

    def tell(self) -> None:
        sys.stdout.write(json.dumps([asdict(cost) for cost in self.costs]))
