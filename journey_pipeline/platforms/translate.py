"""Raw text to typed values: money, time, nested JSON. Expressions only; a value that can't be read is null.

Raw columns are text: a string as the platform sent it, everything else as its JSON.
"""

from collections.abc import Mapping

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.registry import TEXTS, TIME

# ISO 4217: how many digits the minor unit has, where it isn't two.
ZERO_DECIMAL = (
    "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF",
)  # fmt: skip
THREE_DECIMAL = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")

_ESCAPES = {f"%{code:02X}": chr(code) for code in range(32, 127)}

# `platform:id`; no slash after the colon, for a web address is none.
_REF = r"[a-z][a-z0-9_]*:[^\s,;/][^\s,;]*"


def path(column: str, json_path: str) -> pl.Expr:
    """Text at a JSON path (`$.email`) of a nested column; null where there is none."""
    return pl.col(column).str.json_path_match(json_path)


def filled(text: pl.Expr) -> pl.Expr:
    """The text, stripped, unless there is nothing in it."""
    clean = text.str.strip_chars()
    return pl.when(clean != "").then(clean)


def spaced(*texts: pl.Expr) -> pl.Expr:
    """The texts that have something in them, a space between each two; null where none has."""
    return filled(pl.concat_str(map(filled, texts), separator=" ", ignore_nulls=True))


def looked_up(column: str, table: Mapping[str, str]) -> pl.Expr:
    """What a table of the options says of a column's text; null where it says nothing."""
    return pl.col(column).replace_strict(list(table), list(table.values()), default=None, return_dtype=pl.String)


def named_by(text: pl.Expr, words: Mapping[str, str]) -> pl.Expr:
    """The first name whose words the text contains, in any case; null where none fits."""
    lower = text.str.to_lowercase()
    fitting = [pl.when(lower.str.contains(w.lower(), literal=True)).then(pl.lit(name)) for name, w in words.items()]
    return pl.coalesce(*fitting, pl.lit(None, pl.String))


def integer(text: pl.Expr) -> pl.Expr:
    """Whole number."""
    return text.cast(pl.Int64, strict=False)


def boolean(text: pl.Expr) -> pl.Expr:
    """`true` or `false`, in any case; anything else is null."""
    return text.str.to_lowercase().replace_strict({"true": True, "false": False}, default=None, return_dtype=pl.Boolean)


def currency(text: pl.Expr) -> pl.Expr:
    """ISO 4217, upper case."""
    return text.str.strip_chars().str.to_uppercase()


def epoch_seconds(text: pl.Expr) -> pl.Expr:
    """Seconds since 1970 as UTC."""
    return pl.from_epoch(text.cast(pl.Int64, strict=False), time_unit="s").cast(TIME)


def epoch_millis(text: pl.Expr) -> pl.Expr:
    """Milliseconds since 1970 as UTC."""
    return pl.from_epoch(text.cast(pl.Int64, strict=False), time_unit="ms").cast(TIME)


def epoch_fraction(text: pl.Expr) -> pl.Expr:
    """Seconds since 1970 with up to six decimals (`1512085950.000216`) as UTC, exactly: no float is involved."""
    whole, fraction = text.str.extract(r"^(\d+)(?:\.\d{1,6})?$", 1), text.str.extract(r"\.(\d+)$", 1).fill_null("")
    micros = pl.concat_str(whole, fraction.str.pad_end(6, "0")).cast(pl.Int64, strict=False)
    return pl.from_epoch(micros, time_unit="us").cast(TIME)


def iso(text: pl.Expr) -> pl.Expr:
    """ISO 8601 with a zone or offset, or without one and then UTC; `T` or space, any fraction up to 9 digits."""
    clean = (
        text.str.strip_chars()
        .str.replace(r"^(\d{4}-\d{2}-\d{2}) ", "${1}T")
        .str.replace(r"(\.\d{6})\d+", "$1")
        .str.replace(r"^(\d{4}-\d{2}-\d{2})$", "${1}T00:00:00")
        .str.replace(r"T(\d{2}:\d{2})(Z|[+-]\d{2}:?\d{2}|)$", "T${1}:00${2}")
        .str.replace(r"(Z|z| UTC)$", "+00:00")
        .str.replace(r"([+-]\d{2})(\d{2})$", "${1}:${2}")
    )
    zoned = pl.when(clean.str.contains(r"[+-]\d{2}:\d{2}$")).then(clean).otherwise(clean + "+00:00")
    return zoned.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%:z", time_unit="us", time_zone="UTC", strict=False).cast(TIME)


def rfc2822(text: pl.Expr) -> pl.Expr:
    """`Fri, 24 May 2026 17:18:27 +0000`: with or without weekday and seconds, an offset or GMT; other zone names are null."""
    clean = (
        text.str.strip_chars()
        .str.replace(r"^[A-Za-z]{3},\s*", "")
        .str.replace(r"\s*\([^)]*\)$", "")
        .str.replace(r" (GMT|UTC?|Z)$", " +0000")
        .str.replace(r"^(\d{1,2} [A-Za-z]{3} \d{4} \d{2}:\d{2}) ", "${1}:00 ")
    )
    return clean.str.to_datetime("%d %b %Y %H:%M:%S %z", time_unit="us", time_zone="UTC", strict=False).cast(TIME)


def ms_date(text: pl.Expr) -> pl.Expr:
    """`/Date(1541176648927+0000)/`, as old .NET services write JSON; the instant is UTC whatever the offset."""
    return epoch_millis(text.str.extract(r"^/Date\((-?\d+)(?:[+-]\d{4})?\)/$"))


def minor_digits(currency_code: pl.Expr) -> pl.Expr:
    """Digits of the currency's minor unit: 2, but 0 for JPY and its like, 3 for KWD and its like."""
    return (
        pl.when(currency_code.is_in(ZERO_DECIMAL)).then(0)
        .when(currency_code.is_in(THREE_DECIMAL)).then(3)
        .otherwise(2)
    )  # fmt: skip


def major(text: pl.Expr, currency_code: pl.Expr) -> pl.Expr:
    """Decimal text in major units (`1500.5`, `-12.34`) to minor units, exactly: no float is involved.

    More digits than the currency has are refused (null), unless they are zeros.
    """
    clean = text.str.strip_chars()
    whole = clean.str.extract(r"^([+-]?\d+)(?:\.\d*)?$", 1)
    digits = clean.str.extract(r"^[+-]?\d+\.(\d*)$", 1).fill_null("").str.strip_chars_end("0")
    places = minor_digits(currency_code)
    sign = pl.when(clean.str.starts_with("-")).then(-1).otherwise(1)
    fraction = (
        pl.when(digits == "").then(0).otherwise(digits.str.pad_end(3, "0").cast(pl.Int64, strict=False))
    )  # in thousandths
    scale = pl.when(places == 0).then(1).when(places == 3).then(1000).otherwise(100)  # noqa: PLR2004
    amount = whole.cast(pl.Int64, strict=False).abs() * scale + fraction * scale // 1000
    return pl.when(digits.str.len_chars() <= places).then(sign * amount).cast(pl.Int64)


def micros(text: pl.Expr, currency_code: pl.Expr) -> pl.Expr:
    """Millionths of a major unit (`12340000`) to minor units, rounded half up: clicks are priced finer than money is."""
    millionths = text.cast(pl.Int64, strict=False)
    places = minor_digits(currency_code)
    unit = pl.when(places == 0).then(1_000_000).when(places == 3).then(1_000).otherwise(10_000)  # noqa: PLR2004
    return (millionths + unit // 2) // unit


_INTERVALS = {
    "1 day": "day", "7 day": "week", "1 week": "week", "1 month": "month", "3 month": "quarter", "1 quarter": "quarter",
    "12 month": "year", "1 year": "year",
}  # fmt: skip


def interval(count: pl.Expr, unit: pl.Expr) -> pl.Expr:
    """How often, from a number and a unit (`3`, `month`: quarter); what has no name among intervals is null."""
    return spelled("{} {}", count, unit).replace_strict(_INTERVALS, default=None, return_dtype=pl.String)


def keys(**by_platform: pl.Expr) -> pl.Expr:
    """`platform:id` list from id columns; nulls are left out."""
    parts = [spelled("{}:{}", pl.lit(name), ids) for name, ids in by_platform.items()]
    return pl.concat_list(parts).list.drop_nulls()


def keys_in(column: str, *, but: str = "") -> pl.Expr:
    """`platform:id` values of a flat JSON object (metadata, hidden fields), but for names that match `but`."""
    name, value = r'"([^"\\]*)"', r'"([a-z][a-z0-9_]*:[^"\\/\s][^"\\\s]*)"'
    pairs = pl.col(column).str.extract_all(f"{name}: ?{value}")
    of_value = pl.element().str.extract(f"{value}$")
    kept = of_value.filter(~pl.element().str.contains(f'^"({but})"')) if but else of_value
    return pairs.list.eval(kept).fill_null([])


def ref(text: pl.Expr) -> pl.Expr:
    """The text where it has the form `platform:id`, else null."""
    return text.str.strip_chars().str.extract(f"^({_REF})$", 1)


def refs(text: pl.Expr) -> pl.Expr:
    """List of all `platform:id` in a text that holds nothing else, apart by commas, semicolons or spaces."""
    clean = text.str.strip_chars().str.replace_all(r"[,;\s]+", " ")
    is_list = clean.str.contains(f"^{_REF}( {_REF})*$")
    return pl.when(is_list).then(clean.str.split(" ")).otherwise(pl.lit([], TEXTS))


def objects(column: str, *fields: str) -> pl.Expr:
    """A JSON list of objects as a list of structs, their `fields` as text; anything else is null."""
    shape = pl.List(pl.Struct(dict.fromkeys(fields, pl.String)))
    text = pl.col(column)
    return pl.when(text.str.starts_with("[{")).then(text).otherwise(None).str.json_decode(shape)


def in_address(address: pl.Expr, parameter: str) -> pl.Expr:
    """What a web address says as a query parameter; of its escapes those of ASCII are read."""
    said = address.str.extract(rf"[?&]{parameter}=([^&#]*)").str.replace_all("+", " ", literal=True)
    return filled(said.str.replace_many(_ESCAPES, ascii_case_insensitive=True))


def click_id(address: pl.Expr) -> pl.Expr:
    """Which click on an ad led to a web address, by the parameter that the ad platforms add to it."""
    return in_address(address, "(?:gclid|gbraid|wbraid|fbclid|msclkid|ttclid|li_fat_id)")


def beside(frame: pl.LazyFrame, other: pl.LazyFrame) -> pl.LazyFrame:
    """The first row of `other` beside every row; nulls if it has none."""
    one = other.head(1).with_columns(_one=pl.lit(1))
    return frame.with_columns(_one=pl.lit(1)).join(one, on="_one", how="left", validate="m:1").drop("_one")


def records(frame: pl.LazyFrame, columns: Mapping[str, pl.Expr | str | None]) -> pl.LazyFrame:
    """Select the columns of a kind, keeping where each row came from (`_row`, `_resource`, `loaded_at`).

    A plain string is a literal value, None leaves the column null.
    """
    exprs = [(pl.lit(e) if isinstance(e, str) or e is None else e).alias(name) for name, e in columns.items()]
    return frame.select(*exprs, pl.col("_loaded_at").alias("loaded_at"), "_row", "_resource")


def newest(frame: pl.LazyFrame, *key: str) -> pl.LazyFrame:
    """Of all versions, the newest one of each key: for joining one resource to another while reading."""
    return frame.sort("_loaded_at", "_row").unique(list(key), keep="last", maintain_order=True)
