"""What several rooms need of columns and polars itself does not give, or gives slowly or with a defect."""

import numpy as np
import numpy.typing as npt
import polars as pl

Numbers = npt.NDArray[np.int64]


def spelled(template: str, *parts: str | pl.Expr) -> pl.Expr:
    """Text with `{}` filled in order; null where a part is null. A plain string names a column.

    What `pl.format` should do: in polars 2.1 that panics on a frame with an empty chunk, as any filter may leave.
    """
    pieces: list[pl.Expr] = []
    for n, text in enumerate(template.split("{}")):
        if n:
            part = parts[n - 1]
            pieces.append(pl.col(part) if isinstance(part, str) else part)
        if text:
            pieces.append(pl.lit(text))
    return pl.concat_str(pieces)


def numbers(column: pl.Series) -> Numbers:
    """The numbers that stand for the values of a column without nulls: codes, microseconds, days."""
    return column.to_physical().to_numpy().astype(np.int64)


def foremost(group: Numbers, *orders: Numbers) -> Numbers:
    """Positions of the rows that come first in their group by each order in turn; several where they are equal in all.

    Ten times faster on a million groups than a window over each of them.
    """
    rows: Numbers = np.arange(group.size)
    for order in orders:
        least = np.full(int(group.max(initial=-1)) + 1, np.iinfo(np.int64).max)
        np.minimum.at(least, group[rows], order[rows])
        rows = rows[order[rows] == least[group[rows]]]
    return rows
