"""The rows of one table with their verdicts, and where in it each verdict stands, as plain numbers.

A rule speaks of few of a million rows: whoever asks for the broken ones takes these, and never walks all columns again.
How a verdict is decided is verdicts'.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from journey_pipeline.invariants.verdicts import Steps
from journey_pipeline.model import Rule
from journey_pipeline.registry import VERDICTS

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]

NONE = len(VERDICTS)  # the code of no verdict
TIMELESS = np.iinfo(np.int64).max
_CODE = {word: code for code, word in enumerate(VERDICTS)}


@dataclass(frozen=True)
class Judged:
    """`rows`: the columns that rules read, `row` (its place), a verdict column per rule. `steps`: what those rest on."""

    rows: pl.DataFrame
    steps: Mapping[str, Steps]
    # Worked out when first asked for, by whichever thread asks: at worst twice, to the same numbers.
    _codes: dict[str, npt.NDArray[np.uint8]] = field(default_factory=dict, repr=False)
    _values: dict[str | None, Numbers] = field(default_factory=dict, repr=False)
    _places: dict[tuple[str | None, str], Numbers] = field(default_factory=dict, repr=False)
    _times_of: dict[str, Numbers] = field(default_factory=dict, repr=False)

    def codes(self, rule: Rule) -> npt.NDArray[np.uint8]:
        """The verdict of each row as its number in VERDICTS, or NONE."""
        if rule.name not in self._codes:
            self._codes[rule.name] = self.rows[rule.name].to_physical().fill_null(NONE).to_numpy()
        return self._codes[rule.name]

    def having(self, rule: Rule, *words: str, columns: Collection[str] | None = None) -> pl.DataFrame:
        """The rows of which the rule says one of these words; all columns, unless some are named."""
        codes = self.codes(rule)
        found = np.logical_or.reduce([codes == _CODE[word] for word in words])
        rows = self.rows if columns is None else self.rows.select(sorted(columns))
        return rows[np.flatnonzero(found)]

    def due(self, rule: Rule) -> "Due":
        """The rows that hold or are broken: what a broken one is compared with."""
        codes = self.codes(rule)
        is_broken = codes == _CODE["broken"]
        row = np.flatnonzero(is_broken | (codes == _CODE["holds"]))
        since = self._times(rule.since)[row] if rule.since else np.full(row.size, TIMELESS)
        return Due(row, since, is_broken[row])

    def values(self, column: str | None) -> Numbers:
        """A number from 0 on for each value of a column, 0 for null; 0 for every row where there is no such column."""
        if column not in self._values:
            codes = pl.zeros(self.rows.height, pl.Int64, eager=True)
            if column in self.rows.columns:
                # Categories of its own: those that the process shares are numbered from wherever others left off.
                apart = self.rows[column].cast(pl.Categorical(pl.Categories.random()))
                codes = (apart.to_physical().cast(pl.Int64) + 1).fill_null(0)
            self._values[column] = codes.to_numpy()
        return self._values[column]

    def places(self, column: str | None, other: str) -> Numbers:
        """A number for each pair of values of two columns, as `values` numbers those of one."""
        if (column, other) not in self._places:
            inner = self.values(other)
            self._places[column, other] = self.values(column) * (inner.max(initial=0) + 1) + inner
        return self._places[column, other]

    def _times(self, column: str) -> Numbers:
        if column not in self._times_of:
            self._times_of[column] = self.rows[column].to_physical().fill_null(TIMELESS).to_numpy()
        return self._times_of[column]


@dataclass(frozen=True)
class Due:
    """Rows that hold or are broken: their places, their `since` (microseconds, TIMELESS for none), which are broken."""

    row: Numbers
    since: Numbers
    is_broken: Mask

    @cached_property
    def times(self) -> Numbers:
        """The `since` of those that have one, in order."""
        return np.sort(self.since[self.since != TIMELESS])

    @cached_property
    def broken_times(self) -> Numbers:
        return np.sort(self.since[self.is_broken & (self.since != TIMELESS)])
