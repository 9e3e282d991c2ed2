"""From the raw log to records: versions, what went missing, what can't be read; through a real log on disk."""

import importlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from journey_pipeline.errors import LostRecordsError
from journey_pipeline.lake import RawLog, ingest
from journey_pipeline.platforms import translate
from journey_pipeline.platforms.base import Options, Platform, Raw, Resource, Row
from journey_pipeline.records import Records, Source, build
from journey_pipeline.registry import KINDS, TABLES, record_schema

build_module = importlib.import_module("journey_pipeline.records.build")  # the package's `build` is the function

DAY_1 = datetime(2026, 5, 13, 6, tzinfo=UTC)
DAY_2, DAY_3 = DAY_1 + timedelta(days=1), DAY_1 + timedelta(days=2)
COLUMNS = {
    "payments": ("id", "at", "status", "amount", "currency", "email", "role"),
    "contacts": ("id", "at", "updated_at", "stage", "owner", "source", "campaign"),
    "access": ("id", "at", "status", "used"),
    "subscriptions": ("id", "at", "status"),
}


class Shop:
    """A platform of four lists, each told as the kind of its name; access is a snapshot."""

    def __init__(self, folder: Path) -> None:
        self.log = RawLog(str(folder / "raw"), folder / "scratch")
        self.rows: dict[str, list[Row]] = {name: [] for name in COLUMNS}
        resources = tuple(
            Resource(
                name,
                "snapshot" if name == "access" else "changes",
                lambda _pull, n=name: iter([self.rows[n]]),
                columns=columns,
            )
            for name, columns in COLUMNS.items()
        )
        self.platform = Platform("shop", resources, {name: (name,) for name in COLUMNS}, self.read)

    @staticmethod
    def read(raw: Raw, _options: Any) -> Mapping[str, pl.LazyFrame]:
        col = pl.col
        return {
            "payments": translate.records(raw["payments"], {
                "record_id": col("id"), "occurred_at": col("at"), "status": col("status"), "role": pl.coalesce("role", pl.lit("processor")),
                "amount_minor": col("amount"), "currency": col("currency"), "email": col("email"),
            }),
            "contacts": translate.records(raw["contacts"], {
                "record_id": col("id"), "occurred_at": col("at"), "updated_at": col("updated_at"), "lifecycle_stage": col("stage"),
                "owner": col("owner"), "source": col("source"), "campaign": col("campaign"),
            }),
            "access": translate.records(raw["access"], {
                "record_id": col("id"), "occurred_at": col("at"), "status": col("status"), "grant": "course", "last_used_at": col("used"),
            }),
            "subscriptions": translate.records(raw["subscriptions"], {
                "record_id": col("id"), "occurred_at": col("at"), "status": col("status"), "role": "processor",
            }),
        }  # fmt: skip

    def load(self, at: datetime, **rows: list[Row]) -> None:
        self.rows = {name: rows.get(name, []) for name in COLUMNS}
        ingest(self.platform, name="shop", options=Options(), secrets={}, log=self.log, loaded_at=at)

    def records(self, as_of: datetime = DAY_3) -> Records:
        return build(
            [Source(self.platform, "shop", Options())], self.log, as_of=as_of, test_buyers=("*@northwind.example", "test+*@*"),
            customer_stages=("customer", "member"),
        )  # fmt: skip


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def payment(**changed: Any) -> dict[str, Any]:
    return {
        "id": "1",
        "at": "2026-05-12T10:00:00Z",
        "status": "succeeded",
        "amount": 4900,
        "currency": "USD",
        **changed,
    }


def test_every_kind_is_there_with_its_columns_even_if_nobody_says_it(shop: Shop) -> None:
    shop.load(DAY_1)
    built = shop.records()
    assert {kind: frame.schema for kind, frame in built.kinds.items()} == {kind: record_schema(kind) for kind in KINDS}
    assert built.rejected.schema == TABLES["rejected_records"].schema
    assert built.health.schema == TABLES["source_health"].schema


def test_the_newest_version_counts_and_older_days_can_be_seen_again(shop: Shop) -> None:
    shop.load(DAY_1, payments=[payment(status="pending")])
    shop.load(DAY_2, payments=[payment()])
    now = shop.records().kinds["payments"].row(0, named=True)
    assert (now["status"], now["loaded_at"], now["first_loaded_at"]) == ("succeeded", DAY_2, DAY_1)
    assert now["first_succeeded_loaded_at"] == DAY_2
    then = shop.records(as_of=DAY_1).kinds["payments"].row(0, named=True)
    assert (then["status"], then["first_succeeded_loaded_at"]) == ("pending", None)


def test_a_payment_that_never_waited_succeeded_when_it_happened(shop: Shop) -> None:
    shop.load(DAY_1, payments=[payment()])
    shop.load(DAY_2, payments=[payment()])
    assert shop.records().kinds["payments"]["first_succeeded_loaded_at"].to_list() == [None]


def test_a_row_twice_in_one_load_counts_once_the_later_one(shop: Shop) -> None:
    shop.load(DAY_1, payments=[payment(amount=100), payment(amount=200)])
    assert shop.records().kinds["payments"]["amount_minor"].to_list() == [200]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"id": None}, "no id"),
        ({"at": None}, "no occurred_at, or unreadable"),
        ({"at": "yesterday"}, "unreadable occurred_at"),
        ({"status": "blocked"}, "unknown status 'blocked'"),
        ({"status": None}, "no status"),
        ({"amount": -1}, "negative amount_minor"),
        ({"amount": None}, "no amount_minor"),
        ({"amount": "12,50"}, "unreadable amount_minor"),
        ({"currency": None}, "amount_minor without currency"),
        ({"currency": "usd"}, "currency is not three capital letters"),
        ({"role": "bank"}, "unknown role 'bank'"),
    ],
)
def test_what_cannot_be_read_is_rejected_with_its_reason_and_its_row(
    shop: Shop, changed: dict[str, Any], reason: str
) -> None:
    shop.load(DAY_1, payments=[{**payment(email="ann@x.com"), **changed}, payment(id="2")])
    built = shop.records(as_of=DAY_1)
    assert built.kinds["payments"]["record_id"].to_list() == ["2"]
    (rejected,) = built.rejected.to_dicts()
    assert (rejected["platform"], rejected["resource"], rejected["kind"], rejected["reason"]) == (
        "shop",
        "payments",
        "payments",
        reason,
    )
    assert '"email":"ann@x.com"' in rejected["raw"]
    health = built.health.filter(pl.col("resource") == "payments").row(0, named=True)
    assert (health["row_count"], health["rejected_count"], health["status"]) == (2, 1, "fresh")


def test_a_record_that_becomes_unreadable_stays_as_it_was_and_is_reported(shop: Shop) -> None:
    shop.load(DAY_1, payments=[payment()])
    shop.load(DAY_2, payments=[payment(amount="oops")])
    built = shop.records()
    assert built.kinds["payments"]["amount_minor"].to_list() == [4900]
    assert built.rejected["reason"].to_list() == ["unreadable amount_minor"]
    shop.load(DAY_3, payments=[payment(amount=5000)])
    mended = shop.records()
    assert mended.kinds["payments"]["amount_minor"].to_list() == [5000]
    assert mended.rejected.is_empty()


@pytest.mark.parametrize(
    ("step", "spoilt", "sentence"),
    [
        ("_current", lambda rows: rows.filter(pl.col("record_id") != "2"),
         "payments: of 3 ids that the raw log tells 1 of shop were neither read nor rejected, and 0 records are one too many."),
        ("_current", lambda rows: pl.concat([rows, rows.head(1)]),
         "payments: of 3 ids that the raw log tells 0 were neither read nor rejected, and 1 records are one too many."),
        ("_rejected", lambda rows: rows.clear(),
         "payments: of 3 ids that the raw log tells 1 of shop were neither read nor rejected, and 0 records are one too many."),
    ],
)  # fmt: skip
def test_a_step_that_loses_or_doubles_a_record_stops_the_run(
    shop: Shop,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    spoilt: Callable[[pl.DataFrame], pl.DataFrame],
    sentence: str,
) -> None:
    shop.load(DAY_1, payments=[payment(), payment(id="2"), payment(id="3", amount="oops")])
    assert shop.records().kinds["payments"].height == 2
    sound = getattr(build_module, step)

    def unsound(kind: str, *rest: Any) -> pl.DataFrame:
        return spoilt(sound(kind, *rest)) if kind == "payments" else sound(kind, *rest)

    monkeypatch.setattr(build_module, step, unsound)
    with pytest.raises(LostRecordsError) as refused:
        shop.records()
    assert str(refused.value).startswith(sentence)


def test_what_the_newest_list_lacks_is_gone_since_the_load_that_first_lacked_it(shop: Shop) -> None:
    both = [{"id": "a", "at": "2026-05-01", "status": "active"}, {"id": "b", "at": "2026-05-01", "status": "active"}]
    shop.load(DAY_1, access=both)
    shop.load(DAY_2, access=both[:1])
    shop.load(DAY_3, access=both[:1])
    assert dict(shop.records().kinds["access"].select("record_id", "gone_at").iter_rows()) == {"a": None, "b": DAY_2}


def test_a_member_who_comes_back_is_not_gone(shop: Shop) -> None:
    both = [{"id": "a", "at": "2026-05-01", "status": "active"}, {"id": "b", "at": "2026-05-01", "status": "active"}]
    shop.load(DAY_1, access=both)
    shop.load(DAY_2, access=both[:1])
    shop.load(DAY_3, access=both)
    assert shop.records().kinds["access"]["gone_at"].to_list() == [None, None]


def test_a_changes_resource_that_says_nothing_new_loses_nobody(shop: Shop) -> None:
    shop.load(DAY_1, payments=[payment()])
    shop.load(DAY_2)
    assert shop.records().kinds["payments"]["gone_at"].to_list() == [None]


def test_a_customer_since_the_unbroken_run_of_customer_stages(shop: Shop) -> None:
    def contact(stage: str, updated: str) -> list[Row]:
        return [{"id": "1", "at": "2025-01-01", "updated_at": updated, "stage": stage}]

    shop.load(DAY_1, contacts=contact("Customer", "2026-05-01"))
    shop.load(DAY_2, contacts=contact("lead", "2026-05-13"))
    assert shop.records().kinds["contacts"]["customer_since_at"].to_list() == [None]
    shop.load(DAY_3, contacts=contact("member", "2026-05-14T12:00:00Z"))
    assert shop.records().kinds["contacts"]["customer_since_at"].to_list() == [datetime(2026, 5, 14, 12, tzinfo=UTC)]


def test_what_was_taken_back_of_a_contact_is_remembered(shop: Shop) -> None:
    def told(at: datetime, **said: str | None) -> tuple[Any, ...]:
        shop.load(at, contacts=[{"id": "1", "at": "2025-01-01", **said}])
        columns = ("former_owner", "former_campaign", "is_former_customer")
        return shop.records().kinds["contacts"].select(columns).row(0)

    assert told(DAY_1, owner="sam", stage="customer", source="google", campaign="spring") == (None, None, False)
    assert told(DAY_2, owner="kim", stage="Member", source="Google", campaign="Spring") == (None, None, False)
    assert told(DAY_3, owner=None, stage="lead", source="import", campaign=None) == ("kim", "Google Spring", True)


def test_use_is_remembered_and_classes_are_dated(shop: Shop) -> None:
    shop.load(DAY_1, access=[{"id": "a", "at": "2026-05-01", "status": "active", "used": "2026-05-02"}],
              subscriptions=[{"id": "s", "at": "2026-05-01", "status": "trialing"}])  # fmt: skip
    shop.load(DAY_2, access=[{"id": "a", "at": "2026-05-01", "status": "active", "used": "2026-05-13"}],
              subscriptions=[{"id": "s", "at": "2026-05-01", "status": "active"}])  # fmt: skip
    shop.load(DAY_3, access=[{"id": "a", "at": "2026-05-01", "status": "active", "used": "2026-05-13"}],
              subscriptions=[{"id": "s", "at": "2026-05-01", "status": "ended"}])  # fmt: skip
    built = shop.records()
    assert built.kinds["access"]["first_used_at"].to_list() == [datetime(2026, 5, 2, tzinfo=UTC)]
    (subscription,) = built.kinds["subscriptions"].to_dicts()
    assert (subscription["class_changed_at"], subscription["ended_loaded_at"]) == (DAY_3, DAY_3)
    assert shop.records(as_of=DAY_2).kinds["subscriptions"]["class_changed_at"].to_list() == [DAY_1]


@pytest.mark.parametrize(
    ("email", "is_test"),
    [
        ("QA@Northwind.example", True),
        ("test+1@gmail.com", True),
        ("ann@northwind.example.com", False),
        ("a.test@x.com", False),
        (None, False),
    ],
)
def test_test_buyers_are_marked(shop: Shop, email: str | None, is_test: bool) -> None:
    shop.load(DAY_1, payments=[payment(email=email)])
    assert shop.records().kinds["payments"]["is_test"].to_list() == [is_test]
