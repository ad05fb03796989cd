"""Which benchmarks there are, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks import cold, dependencies, memory, one_file_changed, partition, startup, ten_times_larger
from benchmarks.arena import Arena
from benchmarks.results import Result

Benchmark = Callable[[Arena], Result]

BENCHMARKS: dict[str, Benchmark] = {
    startup.NAME: startup.run,
    partition.NAME: partition.run,
    one_file_changed.NAME: one_file_changed.run,
    ten_times_larger.NAME: ten_times_larger.run,
    cold.NAME: cold.run,
    memory.NAME: memory.run,
    dependencies.NAME: dependencies.run,
}
