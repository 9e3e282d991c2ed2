"""Polars expressions that several rooms need and polars itself does not give, or gives with a defect."""

import polars as pl


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
