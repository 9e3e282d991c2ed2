"""Both examples from their files to their findings, without Great Expectations: the figures of docs/real_data.md.

How single rows are read is settings/test_examples' business. A figure that changes here changes on that page too.
"""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from journey_pipeline.orchestration import steps
from journey_pipeline.orchestration.home import Home
from journey_pipeline.settings import load

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared/data"
AS_OF = {"b2b_saas": datetime(2025, 8, 4, tzinfo=UTC), "olist_funnel": datetime(2018, 8, 8, tzinfo=UTC)}


def run(example: str, home: Path) -> steps.Day:
    """The daily job of an example, a few seconds long."""
    if not (DATA / example).is_dir():
        pytest.skip("the shared data is not here")
    file = ROOT / "examples" / example / "journey.yaml"
    day = steps.Day(load(file), file.parent, Home(home), AS_OF[example])
    for source in day.sources:
        assert [o.error for o in steps.load(day, source, {}) if o.error] == []
    steps.records(day)
    steps.people(day)
    steps.paths(day)
    steps.judge(day)
    return day


@pytest.fixture(scope="module")
def b2b(tmp_path_factory: pytest.TempPathFactory) -> steps.Day:
    return run("b2b_saas", tmp_path_factory.mktemp("b2b"))


@pytest.fixture(scope="module")
def olist(tmp_path_factory: pytest.TempPathFactory) -> steps.Day:
    return run("olist_funnel", tmp_path_factory.mktemp("olist"))


def table(day: steps.Day, room: str, name: str) -> pl.DataFrame:
    return pl.read_parquet(day.home.tables.parts(room, name))


def counts(frame: pl.DataFrame, *by: str) -> dict[object, int]:
    """How many rows of each value; of each tuple of values where `by` names several columns."""
    return {key if len(by) > 1 else key[0]: rows.height for key, rows in frame.partition_by(by, as_dict=True).items()}


def verdicts(day: steps.Day, *names: str) -> dict[str, tuple[int, int]]:
    """Per rule: how many rows it judged, how many are broken; every other of these would be another verdict."""
    judged = table(day, "invariants", "invariant_days").filter(pl.col("invariant").is_in(names))
    assert (judged["held"] + judged["broken"] == judged["evaluated"]).all()
    return {row["invariant"]: (row["evaluated"], row["broken"]) for row in judged.iter_rows(named=True)}


def test_five_systems_are_read_and_what_contradicts_itself_is_set_aside(b2b: steps.Day) -> None:
    kinds = ("contacts", "payments", "subscriptions", "access", "tickets", "leads")
    assert {kind: table(b2b, "records", kind).height for kind in kinds} == {
        "contacts": 1839, "payments": 1623, "subscriptions": 1200, "access": 1300, "tickets": 1391, "leads": 800,
    }  # fmt: skip
    assert counts(table(b2b, "records", "rejected_records"), "platform", "reason") == {
        ("app", "event before the sign-up"): 1210,
        ("billing", "open, yet it was paid"): 543,
        ("billing", "paid, but not when"): 248,
        ("billing", "void, yet it was paid"): 481,
        ("support", "resolved before it was opened"): 952,
        ("support", "solved, but not when"): 518,
    }


def test_people_are_rather_split_than_lumped(b2b: steps.Day) -> None:
    people = table(b2b, "journeys", "people")
    assert people["record_count"].sum() == 8153
    # Certain keys make 2,266 people; each probable link, of which there are few, makes one of two.
    keys = table(b2b, "identity", "person_keys").filter(how="probable")["key"]
    assert 1 <= keys.n_unique() <= 20
    assert people.height + keys.n_unique() == 2266
    # 2,073 addresses, each of one person: no tie brought two together, and none is shared
    addresses = counts(people, "email_count")
    assert set(addresses) == {0, 1}
    assert addresses[1] == 2073
    assert counts(table(b2b, "identity", "demoted_keys"), "reason") == {
        "a name of 2 people at one company, by their e-mails or phones: ties none of them": 2,
        "a phone of 2 names: ties only records of one name": 7,
    }


def test_how_many_payers_are_known_elsewhere(b2b: steps.Day) -> None:
    """System -> active billing accounts known there by exact e-mail, and by identity: no tie finds a login."""
    who = table(b2b, "identity", "record_persons")
    known = table(b2b, "records", "subscriptions").filter(pl.col("status") == "active")
    payers = known.join(who.filter(kind="subscriptions"), on="record_id", validate="1:1")
    assert payers.height == 722
    found = {}
    for kind in ("access", "contacts", "tickets", "leads"):
        addresses = table(b2b, "records", kind)["email"].drop_nulls().implode()
        people = who.filter(kind=kind)["person_id"].implode()
        found[kind] = (payers["email"].is_in(addresses).sum(), payers["person_id"].is_in(people).sum())
    assert found == {"access": (405, 405), "contacts": (498, 555), "tickets": (235, 338), "leads": (222, 244)}


def test_what_is_broken_at_the_software_company(b2b: steps.Day) -> None:
    assert verdicts(
        b2b, "paid_implies_access", "paid_access_not_lost", "lead_implies_crm_record", "paid_implies_crm_record",
        "one_crm_record_per_person", "access_ticket_of_payer_is_answered", "no_duplicate_charge", "payment_has_person",
        "one_live_subscription_per_offer",
    ) == {
        "paid_implies_access": (542, 235),
        "paid_access_not_lost": (307, 0),
        "lead_implies_crm_record": (789, 209),
        "paid_implies_crm_record": (585, 117),
        "one_crm_record_per_person": (1605, 234),
        "access_ticket_of_payer_is_answered": (62, 9),
        "no_duplicate_charge": (1530, 0),
        "payment_has_person": (1530, 0),
        "one_live_subscription_per_offer": (976, 0),
    }  # fmt: skip
    gates = table(b2b, "invariants", "invariant_days").filter(gate="off")["invariant"].to_list()
    assert sorted(gates) == ["access_implies_payment", "ended_subscription_ends_access", "unpaid_access_is_suspended"]
    found = table(b2b, "invariants", "findings")
    assert (found.height, found["incident_id"].drop_nulls().len()) == (893, 0)


def test_payers_without_access_are_those_of_the_files(b2b: steps.Day) -> None:
    """The same question put to the CSV files alone: active, a paid invoice with its date, no login of that address."""

    def rows(name: str) -> pl.DataFrame:
        return pl.read_csv(DATA / "b2b_saas" / f"{name}.csv", infer_schema_length=0)

    paid = rows("billing_invoices").filter(pl.col("status") == "paid", pl.col("paid_at").is_not_null())
    logins = rows("app_signups").select("email").unique()
    locked_out = rows("billing_accounts").filter(status="active").join(logins, on="email", how="anti")
    theirs = paid.join(locked_out, on="billing_account_id", how="semi")
    assert theirs["billing_account_id"].n_unique() == 235
    findings = table(b2b, "invariants", "findings").filter(invariant="paid_implies_access")
    assert (findings.height, findings["currency"].unique().to_list()) == (235, ["USD"])
    assert findings["at_risk_minor"].sum() == theirs["amount_cents"].cast(pl.Int64).sum() == 103_622_608


def test_duplicate_contacts_stand_side_by_side_in_the_file(b2b: steps.Day) -> None:
    """The file's author wrote a copy below its original; identity doesn't know the order, yet finds only such pairs.

    But for one: two people of one name at one company, whom the data give one e-mail.
    """
    who = table(b2b, "identity", "record_persons").filter(kind="contacts")
    broken = table(b2b, "invariants", "findings").filter(invariant="one_crm_record_per_person")
    rows = who.join(broken, on="person_id", how="semi").with_columns(
        row=pl.col("record_id").str.slice(4).cast(pl.Int64)
    )
    apart = rows.group_by("person_id").agg(pl.len(), (pl.col("row").max() - pl.col("row").min()).alias("apart"))
    assert sorted(apart.select("len", "apart").rows()) == [*[(2, 1)] * 233, (2, 270)]


def test_deals_find_their_leads_by_id_alone(olist: steps.Day) -> None:
    assert {kind: table(olist, "records", kind).height for kind in ("leads", "deals")} == {"leads": 8000, "deals": 379}
    assert counts(table(olist, "records", "rejected_records"), "resource", "reason") == {
        ("closed_deals", "won before the first contact"): 1,
    }
    assert counts(table(olist, "journeys", "people"), "record_count") == {1: 7621, 2: 379}
    won = table(olist, "journeys", "buyer_journeys").filter(pl.col("won_at").is_not_null())
    days = (pl.col("won_at") - pl.col("lead_at")).dt.total_seconds() / 86_400
    assert won.select(pl.len(), days.median().round(1).alias("half"), days.quantile(0.9).round(0).alias("most")).row(0) == (
        379, 10.5, 77.0,
    )  # fmt: skip


def test_what_is_broken_at_the_marketplace(olist: steps.Day) -> None:
    assert verdicts(olist, "deal_has_lead", "deal_has_origin") == {
        "deal_has_lead": (379, 0),
        "deal_has_origin": (379, 85),
    }
    assert counts(table(olist, "invariants", "findings"), "invariant") == {"deal_has_origin": 85}
