"""What is published of a person: everything, a keyed hash, or nothing. Which columns are personal stands in the registry.

Text that is not personal by itself may still carry an address, a number or a name (an owner, a link, a key, an id that
is an address or the plain hash of one): it is searched, and what is found there is treated the same way.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl
import pyarrow as pa

from journey_pipeline.errors import JourneyError
from journey_pipeline.identity import normalise
from journey_pipeline.registry import COLUMNS, TABLES, TEXT, Column

Pii = Literal["clear", "masked", "none"]
KEY = "JOURNEY_PII_KEY"
WITHHELD = "(withheld)"
PERSONAL = frozenset(name for name, column in COLUMNS.items() if column.is_personal)

_SHORTEST = 32  # characters: 128 bits if they are hexadecimal, as `openssl rand -hex 16` writes them
_PART = r"[^\s@:;,|<>()\[\]{}\"'/?&=%]"
_FOUND = re.compile(
    rf"{_PART}+(?:@|%40){_PART}+\.{_PART}*\w"  # an address, in a link too
    r"|\+\d[\d ().-]{6,}\d"  # a number with its country
    r"|\b(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{64})\b"  # MD5, SHA-1 and SHA-256: whoever has the address has it
)
_MAYBE = r"@|%40|\+\d|[0-9a-fA-F]{32}"
_WORD = re.compile(r"[^\W\d_][^\W_'\u2019-]*(?:['\u2019-][^\W_]+)*")
_NAME = r"\S\s+\S"  # one word alone may stand for anything
_LONGEST = 5  # words of a name
_IDS = re.compile(r"(_id|_refs?|^keys|^url|^raw|^platform|^invariant)$")  # nobody writes names into these

Texts = Callable[[pl.Series], pl.Series]


@dataclass
class Mask:
    """A value's HMAC-SHA256, the same wherever it stands and however it is written; without a key: `(withheld)`.

    `country` reads phone numbers without a country code. `names` are those to be found in other text.
    """

    key: bytes | None
    country: str | None = None
    names: frozenset[str] = frozenset()

    @property
    def left_out(self) -> frozenset[str]:
        """The columns that are not published at all."""
        return frozenset() if self.key else PERSONAL

    def digest(self, value: str) -> str:
        return hmac.digest(self.key, value.encode(), hashlib.sha256).hex() if self.key else WITHHELD

    def emails(self, texts: pl.Series) -> pl.Series:
        """By mailbox, so that two spellings of one address remain one."""
        written = pl.col("text")
        read = pl.DataFrame({"text": texts}).select(
            pl.coalesce(normalise.canonical(normalise.email(written)), written.str.strip_chars().str.to_lowercase())
        )
        return self._digests(read.to_series())

    def phones(self, texts: pl.Series) -> pl.Series:
        read = normalise.phones(texts, self.country)
        return self._digests(read.zip_with(read.is_not_null(), texts))

    def people(self, texts: pl.Series) -> pl.Series:
        written = pl.col("text")
        read = pl.DataFrame({"text": texts}).select(pl.coalesce(normalise.name(written), written))
        return self._digests(read.to_series())

    def others(self, texts: pl.Series) -> pl.Series:
        return self._digests(texts)

    def keys(self, texts: pl.Series) -> pl.Series:
        """`type:value`: an address, a number or a name at a company; a platform's id stays, less what is found in it."""
        kind, value, who = pl.col("kind"), pl.col("value"), pl.col("who")
        parts = pl.DataFrame({"text": texts}).select(
            kind=pl.col("text").str.extract(r"^([^:]*)"),
            value=pl.col("text").str.extract(r"^[^:]*:([^|]*)"),
            who=pl.col("text").str.extract(r"\|(.*)$"),
        )
        ways = {"email": self.emails, "phone": self.phones, "company": self.others}
        hidden = [pl.when(kind == k).then(value).map_batches(way, TEXT) for k, way in ways.items()]
        other = pl.when(~kind.is_in(list(ways))).then(value).map_batches(self.text, TEXT)
        whole = (kind, pl.lit(":") + pl.coalesce(*hidden, other), pl.lit("|") + who.map_batches(self.people, TEXT))
        return parts.select(text=pl.concat_str(whole, ignore_nulls=True)).to_series()

    def text(self, texts: pl.Series) -> pl.Series:
        """With every address, number and plain hash in it replaced."""
        odd = [text for text in texts.unique().drop_nulls() if _FOUND.search(text)] if self._is_odd(texts) else []
        found = pl.Series(sorted({match[0] for text in odd for match in _FOUND.finditer(text)}), dtype=TEXT)
        read = found.str.replace("%40", "@", literal=True)
        hidden = pl.DataFrame({"found": found, "read": read}).select(
            pl.when(pl.col("read").str.contains("@", literal=True)).then(pl.col("read").map_batches(self.emails, TEXT))
            .when(pl.col("read").str.starts_with("+")).then(pl.col("read").map_batches(self.phones, TEXT))
            .otherwise(pl.col("read").str.to_lowercase().map_batches(self.others, TEXT))
        ).to_series()  # fmt: skip
        told = dict(zip(found, hidden, strict=True))
        return texts.replace(odd, [_FOUND.sub(lambda match: told[match[0]], text) for text in odd])

    def prose(self, texts: pl.Series) -> pl.Series:
        """As `text`, and with the names that are known, their words in any order."""
        whole = self.text(texts)
        said = [text for text in whole.unique() if text] if self.names else []
        return whole.replace(said, [self._unnamed(text) for text in said])

    def _unnamed(self, text: str) -> str:
        words, kept, end, i = list(_WORD.finditer(text)), list[str](), 0, 0
        while i < len(words):
            found = next((n for n in range(_LONGEST, 1, -1) if _sorted(words[i : i + n]) in self.names), 1)
            if found > 1:
                first, last = words[i].start(), words[min(i + found, len(words)) - 1].end()
                kept += [text[end:first], self.people(pl.Series([text[first:last]]))[0]]
                end = last
            i += found
        return "".join([*kept, text[end:]])

    def _is_odd(self, texts: pl.Series) -> bool:
        return bool(texts.str.contains(_MAYBE).any())

    def _digests(self, values: pl.Series) -> pl.Series:
        distinct = [value for value in values.unique() if value]
        return values.replace(distinct, [self.digest(value) for value in distinct])


def mask(pii: Pii, environ: Mapping[str, str], country: str | None) -> Mask | None:
    """How to treat personal data; None: as it is.

    Raises:
        JourneyError: if it is to be masked and the environment has no key, or too short a one.
    """
    if pii == "clear":
        return None
    key = environ.get(KEY, "").strip() if pii == "masked" else ""
    if pii == "masked" and len(key) < _SHORTEST:
        what = f"has {len(key)} characters, {_SHORTEST} are needed" if key else "is missing from the environment"
        remedy = "Make one: openssl rand -hex 32, and keep it: another one makes other hashes"
        msg = f"publish.pii is masked, but {KEY} {what}. {remedy}. Nothing was published."
        raise JourneyError(msg)
    return Mask(key.encode() or None, country)


def hidden(tables: Mapping[str, Path | pl.LazyFrame], how: Mask) -> dict[str, pl.LazyFrame]:
    """The same tables without what tells who somebody is."""
    frames = {name: source if isinstance(source, pl.LazyFrame) else _scanned(source) for name, source in tables.items()}
    how.names = _names(frames.values())
    return {name: _hidden(frame, name, how) for name, frame in frames.items()}


def _hidden(frame: pl.LazyFrame, name: str, how: Mask) -> pl.LazyFrame:
    schema, table = frame.collect_schema(), TABLES.get(name)
    kept = [c for c in schema if c not in how.left_out]
    changed = []
    for column in kept:
        known = table.column(column) if table and column in table.columns else COLUMNS.get(column)
        if not (known and known.allowed):
            changed.append(_rewritten(pl.col(column), schema[column], _way(column, known, how)).alias(column))
    return frame.select(kept).with_columns(changed)


def _way(name: str, column: Column | None, how: Mask) -> Texts:
    ways = {"email": how.emails, "phone": how.phones, "name": how.people, "key": how.keys}
    if column and column.is_personal:
        return ways.get(name, how.others)
    return how.text if _IDS.search(name) else how.prose


def _rewritten(value: pl.Expr, dtype: pl.DataType, way: Texts) -> pl.Expr:
    """`way` on every text of a value, in lists and structs too."""
    if isinstance(dtype, pl.List):
        return value.map_batches(lambda lists: _in_lists(lists, way), dtype)
    if isinstance(dtype, pl.Struct):
        fields = [_rewritten(value.struct.field(f.name), f.dtype, way).alias(f.name) for f in dtype.fields]  # type: ignore[arg-type]  # instances
        return pl.when(value.is_not_null()).then(pl.struct(fields))
    return value.map_batches(way, TEXT) if isinstance(dtype, pl.String) else value


def _in_lists(lists: pl.Series, way: Texts) -> pl.Series:
    """All values of a column of lists at once: `list.eval` would call us for every row."""
    values = pl.Series(pl.from_arrow(lists.rechunk().to_arrow().flatten()))
    told = pl.select(_rewritten(pl.lit(values), values.dtype, way)).to_series()
    ends = lists.list.len().fill_null(0).cast(pl.Int64()).cum_sum()
    offsets = pl.concat([pl.Series([0], dtype=pl.Int64()), ends], rechunk=True)
    is_null = lists.is_null().rechunk().to_arrow()
    whole = pa.LargeListArray.from_arrays(offsets.to_arrow(), told.rechunk().to_arrow(), mask=is_null)
    return pl.Series(lists.name, pl.from_arrow(whole))


def _names(frames: Iterable[pl.LazyFrame]) -> frozenset[str]:
    """Every name of more than one word, its words in alphabetical order."""
    said = [frame.select("name").unique() for frame in frames if "name" in frame.collect_schema()]
    if not said:
        return frozenset()
    name = pl.col("name").str.strip_chars()
    told = pl.concat(said).select(name).filter(name.str.contains(_NAME)).unique().collect().to_series()
    return frozenset(_sorted(list(_WORD.finditer(text))) for text in told)


def _sorted(words: list[re.Match[str]]) -> str:
    return " ".join(sorted(word[0].lower() for word in words))


def _scanned(source: Path) -> pl.LazyFrame:
    files = [source] if source.is_file() else sorted(source.glob("**/*.parquet"))
    return pl.concat([pl.scan_parquet(file) for file in files], how="diagonal_relaxed") if files else pl.LazyFrame()
