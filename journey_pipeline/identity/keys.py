"""Which keys each record bears: addresses, phones, ids, a name at a company. Not here: whom a key may tie."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.identity import normalise
from journey_pipeline.model import KeyRule
from journey_pipeline.registry import KINDS, NO_PERSON, TEXT

PERSON_KINDS = tuple(kind for kind in KINDS if kind not in NO_PERSON)
HOW = pl.Enum(["exact", "normalised", "linked", "probable", "confirmed"])


class Ties(NamedTuple):
    """Which record bears which key (`type:value`), once each.

    `emails`: record, name, key (its mailbox), exact (the address as written), how. `phones`, `ids`, `companies` (a name
    at a company): record, name, key. Keys are numbered together, addresses apart from them.
    """

    emails: pl.DataFrame
    phones: pl.DataFrame
    ids: pl.DataFrame
    companies: pl.DataFrame

    def without(self, drop: Callable[[pl.DataFrame], pl.Series]) -> "Ties":
        """Without the rows that `drop` tells of each frame."""
        return Ties(*(frame.filter(~drop(frame)) for frame in self))


def index(kinds: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """All records that can have a person, numbered, with what may tie them.

    `teller`: the rank of its platform and kind. `is_nobody`: an anonymous touch, or a
    message to the team that names nobody.
    """
    told = {kind: frame for kind, frame in kinds.items() if kind in PERSON_KINDS}
    platforms = pl.Enum(pl.concat([frame["platform"] for frame in told.values()]).unique().sort())
    platform, rank = pl.col("platform").cast(platforms), {kind: n for n, kind in enumerate(sorted(PERSON_KINDS))}
    own = (spelled("{}:{}", "platform", "record_id").alias("own_key"), pl.col("merged_into"))
    parts = [
        frame.select(
            pl.lit(kind, pl.Enum(PERSON_KINDS)).alias("kind"), platform, "record_id", "email", "phone", "name",
            "company", "keys",
            # A contact is a key itself: other records name it, and a merged one names the survivor.
            *(own if kind == "contacts" else ()),
            pl.col("first_loaded_at").to_physical(),
            (platform.to_physical().cast(pl.Int64) * len(rank) + rank[kind]).alias("teller"),
            (pl.lit(kind in ("touchpoints", "notifications")) & pl.col("email").is_null() & pl.col("phone").is_null()
             & (pl.col("keys").list.len() == 0)).alias("is_nobody"),
        )
        for kind, frame in told.items()
    ]  # fmt: skip
    records = pl.concat(parts, how="diagonal").with_row_index("record")
    return records.with_columns(_once(records["name"], _names))


def read(records: pl.DataFrame, country: str | None) -> Ties:
    """The keys of all records; `country` reads phone numbers without a country code."""
    keyed, written = pl.Categorical(_fresh()), pl.Categorical(_fresh())

    def emails(texts: pl.Series) -> pl.DataFrame:
        exact, mailbox = pl.col("exact"), pl.col("mailbox")
        told = pl.LazyFrame({"exact": texts}).with_columns(normalise.email(exact))
        return told.with_columns(mailbox=normalise.canonical(exact)).select(
            pl.concat_str(pl.lit("email:"), mailbox).cast(keyed).alias("key"),
            exact.cast(written),
            pl.when(exact == mailbox).then(pl.lit("exact", HOW)).otherwise(pl.lit("normalised", HOW)).alias("how"),
        ).collect()  # fmt: skip

    def phones(texts: pl.Series) -> pl.DataFrame:
        told = pl.DataFrame({"key": normalise.phones(texts, country)})
        return told.select(key=pl.concat_str(pl.lit("phone:"), "key").cast(keyed))

    def keys(said: pl.DataFrame, reads: Callable[[pl.Series], pl.DataFrame]) -> pl.DataFrame:
        return said.drop("text").with_columns(_once(said["text"], reads)).filter(pl.col("key").is_not_null())

    def of_column(what: str, reads: Callable[[pl.Series], pl.DataFrame]) -> pl.DataFrame:
        return keys(records.filter(pl.col(what).is_not_null()).select("record", "name", text=what), reads)

    # Reading texts is one thread's work, so columns are read side by side.
    with ThreadPoolExecutor() as pool:
        own_emails, own_phones = pool.submit(of_column, "email", emails), pool.submit(of_column, "phone", phones)
        linked = _linked(records, keyed)

    def with_told(own: pl.DataFrame, what: str, reads: Callable[[pl.Series], pl.DataFrame]) -> pl.DataFrame:
        """Beside what records say in a column, what platforms say in `keys`: they may repeat it."""
        is_told = linked["key"].cat.starts_with(f"{what}:")
        if not is_told.any():
            return own
        told = linked.filter(is_told).select(
            "record", "name", text=pl.col("key").cast(TEXT).str.strip_prefix(f"{what}:")
        )
        return pl.concat([own, keys(told, reads)]).unique(["record", "key"], keep="first", maintain_order=True)

    # Asked of the column at once: an expression would ask the whole numbering again for each batch of rows.
    is_id = ~(linked["key"].cat.starts_with("email:") | linked["key"].cat.starts_with("phone:"))
    return Ties(
        with_told(own_emails.result(), "email", emails),
        with_told(own_phones.result(), "phone", phones),
        linked.filter(is_id).select("record", "name", "key"),
        _companies(records, keyed),
    )


def matching(keys: pl.Series, rules: Sequence[KeyRule]) -> pl.Series:
    """Whether each key is one that a rule names, whoever says it."""
    pattern = "|".join(_regex(rule.key) for rule in rules)
    distinct = keys.unique()
    hit = distinct.filter(distinct.cast(TEXT).str.contains(f"^({pattern})$"))
    return keys.is_in(hit.implode()) if rules else pl.repeat(value=False, n=keys.len(), eager=True)


def excluded(ties: Ties, records: pl.DataFrame, rules: Sequence[KeyRule]) -> tuple[Ties, pl.DataFrame]:
    """Without the keys that the business excludes; and these: key, people_count (names), record_count, reason."""
    taken = []
    for rule in rules:
        platform = records["platform"].cast(TEXT)

        def is_meant(frame: pl.DataFrame, rule: KeyRule = rule, platform: pl.Series = platform) -> pl.Series:
            hit = matching(frame["key"], [rule])
            return hit if rule.platform is None else hit & (platform.gather(frame["record"]) == rule.platform)

        where = f" where {rule.platform} says it" if rule.platform else ""
        hits = [frame.filter(is_meant(frame)).select("key", "name") for frame in ties]
        taken.append(
            pl.concat(hits).group_by(pl.col("key").cast(TEXT))
            .agg(
                people_count=pl.col("name").drop_nulls().n_unique().cast(pl.Int64),
                record_count=pl.len().cast(pl.Int64),
            )
            .with_columns(reason=pl.lit(f"excluded{where}: {rule.why}"))
        )  # fmt: skip
        ties = ties.without(is_meant)
    schema = {"key": TEXT, "people_count": pl.Int64(), "record_count": pl.Int64(), "reason": TEXT}
    every = pl.concat([pl.DataFrame(schema=schema), *taken])
    return ties, every.sort("key", "reason").unique("key", keep="first", maintain_order=True)


def _regex(pattern: str) -> str:
    escaped = "".join(f"\\{c}" if c in r".+^$()[]{}|\-&~#" else c for c in pattern)
    return escaped.replace("*", ".*").replace("?", ".")


def _once(texts: pl.Series, work: Callable[[pl.Series], pl.DataFrame]) -> list[pl.Series]:
    """The columns that `work` makes of texts, worked out once for each distinct one; null where there is no text."""
    coded = texts.cast(pl.Categorical(_fresh()))
    distinct = coded.unique().drop_nulls()
    distinct = distinct.gather(distinct.to_physical().arg_sort())  # each stands where its number points
    return [column.gather(coded.to_physical()) for column in work(distinct.cast(TEXT))]


def _names(texts: pl.Series) -> pl.DataFrame:
    return pl.DataFrame({"name": texts}).select(normalise.name(pl.col("name")).cast(pl.Categorical(_fresh())))


def _companies(records: pl.DataFrame, keyed: pl.Categorical) -> pl.DataFrame:
    """record, name, key of a full name at a company."""
    said = records.filter(pl.col("company").is_not_null() & pl.col("name").is_not_null())
    words = pl.col("name").cast(TEXT)
    return (
        said.lazy().select("record", "name", pl.when(words.str.contains(" ")).then(words).alias("full"),
                           company=normalise.company(pl.col("company")))
        .drop_nulls().select("record", "name", spelled("company:{}|{}", "company", "full").cast(keyed).alias("key"))
        .collect()
    )  # fmt: skip


def _linked(records: pl.DataFrame, keyed: pl.Categorical) -> pl.DataFrame:
    """record, name, key: what platforms themselves say belongs together, once each."""
    every, count = records.lazy(), pl.col("keys").list.len()
    alone = count.eq(1) & pl.col("own_key").is_null()
    several = every.filter((count > 0) & ~alone)
    told = [
        several.select("record", "name", key="keys").explode("key"),
        *(every.filter(pl.col(c).is_not_null()).select("record", "name", key=c) for c in ("own_key", "merged_into")),
    ]
    one = every.filter(alone).select("record", "name", key=pl.col("keys").list.first())
    return pl.concat([one, pl.concat(told).unique(["record", "key"])]).with_columns(pl.col("key").cast(keyed)).collect()


def _fresh() -> pl.Categories:
    """A numbering of texts of its own, so that the numbers are dense."""
    return pl.Categories.random()
