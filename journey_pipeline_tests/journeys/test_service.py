"""What comes after the purchase, column by column, each on a world small enough to see."""

from typing import Any

import polars as pl
import pytest

from journey_pipeline.identity import Identity, resolve
from journey_pipeline.journeys import build
from journey_pipeline.model import Offer
from journey_pipeline.registry import TABLES
from journey_pipeline_tests.worlds import at, one, records, scope, walk

CART = Offer(
    id="bootcamp", name="Bootcamp", bought_as=("stripe:price_b",), cart=("mailchimp:cart",), sales=("mailchimp:sale",)
)
OTHER = Offer(id="ebook", name="E-book", bought_as=("stripe:price_e",), cart=("mailchimp:cart_e",))


def person(tables: dict[str, pl.DataFrame]) -> dict[str, Any]:
    return one(tables["people"])


def test_the_team_hears_of_a_sale_by_either_copy_and_of_its_dispute_afterwards() -> None:
    payments = walk(
        payments=[
            {"id": "ch_1", "who": "ann", "at": "d-9", "disputed_at": "d-3", "dispute_status": "open"},
            {"id": "w_1", "who": "ann", "at": "d-9", "platform": "woo", "role": "shop", "product_ref": "woo:b",
             "same_as": ["stripe:ch_1"]},
            {"id": "ch_2", "who": "bob", "at": "d-9", "disputed_at": "d-3", "dispute_status": "open"},
        ],
        notifications=[
            {"about_ref": "woo:w_1", "at": "d-8"},
            {"about_ref": "stripe:ch_2", "at": "d-2"},
            {"about_ref": "stripe:ch_2", "at": "d-9"},
            {"about_ref": "stripe:ch_2", "at": "d-1"},
            {"at": "d-9"},
        ],
    )["payments"]  # fmt: skip
    told = {row["record_id"]: (row["notified_at"], row["dispute_notified_at"]) for row in payments.to_dicts()}
    assert told == {"ch_1": (at("d-8"), None), "w_1": (at("d-8"), None), "ch_2": (at("d-9"), at("d-2"))}


def test_what_follows_a_failed_payment() -> None:
    failed = {"who": "ann", "status": "failed"}
    payments = walk(
        payments=[
            {"id": "first", "at": "d-5", **failed},
            {"id": "a day later", "at": "d-4", **failed},
            {"id": "two days later", "at": "d-2", **failed},
            {"id": "other offer", "at": "d-2", **failed, "product_ref": "stripe:price_c"},
            {"id": "paid", "who": "ann", "at": "d-1"},
        ],
        messages=[
            {"who": "ann", "purpose": "newsletter", "at": "d-3"},
            {"who": "ann", "purpose": "dunning", "at": "d-3", "bounced_at": "d-3"},
            {"who": "ann", "purpose": "dunning", "at": "d-2"},
            {"who": "bob", "purpose": "dunning", "at": "d-5"},
        ],
    )["payments"]
    told = {row["record_id"]: (row["is_repeat_failure"], row["chased_at"]) for row in payments.to_dicts()}
    assert told == {
        "first": (False, at("d-2")),
        "a day later": (True, at("d-2")),
        "two days later": (False, at("d-2")),  # at the moment itself counts
        "other offer": (False, at("d-2")),
        "paid": (False, None),
    }


@pytest.mark.parametrize(
    ("message", "cart", "sale"),
    [
        ({"purpose": "cart", "template_ref": "mailchimp:cart", "at": "d-1"}, "d-1", None),
        ({"purpose": "sequence", "template_ref": "mailchimp:sale", "at": "d-1"}, None, "d-1"),
        ({"purpose": "newsletter", "template_ref": "mailchimp:sale", "at": "d-1"}, None, None),
        ({"purpose": "cart", "template_ref": "mailchimp:cart", "at": "d-3 12:30"}, None, None),  # within the hour
        ({"purpose": "cart", "template_ref": "mailchimp:cart", "at": "d-4"}, None, None),  # before it
        ({"purpose": "cart", "template_ref": "mailchimp:cart_e", "at": "d-1"}, None, None),  # of another offer
        ({"purpose": "cart", "template_ref": "mailchimp:any", "at": "d-1"}, "d-1", None),  # of none, within a week
        ({"purpose": "sequence", "template_ref": "mailchimp:any", "at": "d-1"}, None, None),
    ],
)
def test_mail_that_sells_what_was_bought(message: dict[str, Any], cart: str | None, sale: str | None) -> None:
    tables = walk(
        scope(offers=(CART, OTHER)),
        payments=[{"who": "ann", "at": "d-3"}],
        messages=[{"who": "ann", **message}],
    )
    row = one(tables["buyer_journeys"], offer_id="bootcamp")
    assert (row["cart_mail_at"], row["sales_mail_at"]) == (cart and at(cart), sale and at(sale))


def test_a_cart_mail_is_no_news_after_the_look_back_after_a_refund_or_of_what_is_bought_again_and_again() -> None:
    mail = {"who": "ann", "purpose": "cart", "template_ref": "mailchimp:cart"}
    long_ago = {"payments": [{"who": "ann", "at": "d-40"}], "messages": [{**mail, "at": "d-20"}]}
    refunded = {
        "payments": [{"who": "ann", "at": "d-9", "refunded_minor": 4900, "refunded_at": "d-8"}],
        "messages": [{**mail, "at": "d-1"}],
    }
    again = {"payments": [{"who": "ann", "at": "d-9"}], "messages": [{**mail, "at": "d-1"}]}
    for offer, world in (
        (CART, long_ago),
        (CART, refunded),
        (CART.model_copy(update={"repeatable": True}), again),
    ):
        row = one(walk(scope(offers=(offer,)), **world)["buyer_journeys"], offer_id="bootcamp")
        assert row["cart_mail_at"] is None


BOUNCE = {"who": "ann", "purpose": "welcome", "at": "d-5", "bounced_at": "d-5"}


@pytest.mark.parametrize(
    ("later", "reached"),
    [
        ({}, None),
        (
            {"messages": [{"email": "ann@work.com", "keys": ["stripe:cus_1"], "at": "d-3", "delivered_at": "d-3"}]},
            "d-3",
        ),
        ({"messages": [{"keys": ["stripe:cus_1"], "channel": "sms", "at": "d-3", "delivered_at": "d-3"}]}, "d-3"),
        ({"messages": [{"keys": ["stripe:cus_1"], "channel": "sms", "at": "d-6", "delivered_at": "d-6"}]}, None),
        ({"tickets": [{"who": "ann", "at": "d-9", "first_reply_at": "d-4"}]}, "d-4"),
        ({"tickets": [{"who": "ann", "at": "d-4"}]}, None),
        ({"leads": [{"email": "ann@work.com", "keys": ["stripe:cus_1"], "at": "d-2"}]}, "d-2"),
        ({"leads": [{"email": "Ann@X.com", "at": "d-2"}]}, None),
    ],
)
def test_whose_mail_bounces_and_how_they_are_reached(later: dict[str, Any], reached: str | None) -> None:
    row = person(
        walk(
            payments=[{"who": "ann", "keys": ["stripe:cus_1"], "at": "d-9"}],
            messages=[BOUNCE, *later.get("messages", [])],
            **{kind: rows for kind, rows in later.items() if kind != "messages"},
        )
    )
    assert (row["bounced_at"], row["reached_at"]) == (at("d-5"), reached and at(reached))


def test_a_bounce_is_over_once_mail_gets_through_to_the_same_address() -> None:
    through = {"email": "ANN@x.com", "purpose": "newsletter", "at": "d-2", "delivered_at": "d-2"}
    before = {"who": "ann", "purpose": "newsletter", "at": "d-8", "delivered_at": "d-8"}
    paid = [{"who": "ann", "at": "d-9"}]
    assert person(walk(payments=paid, messages=[BOUNCE, through]))["bounced_at"] is None
    assert person(walk(payments=paid, messages=[BOUNCE, before]))["bounced_at"] == at("d-5")


def test_platforms_that_have_not_heard_of_an_opt_out() -> None:
    out = {"who": "ann", "state": "unsubscribed", "at": "d-3"}
    same, kit = {"who": "ann", "at": "d-90"}, {"who": "ann", "platform": "kit", "at": "d-90"}

    def told(*consents: dict[str, Any]) -> tuple[int, int]:
        row = person(walk(consents=list(consents)))
        return row["consent_platform_count"], row["stale_opt_in_count"]

    assert told(out) == (1, 0)
    assert told(out, kit) == (2, 1)
    assert told(out, {**kit, "state": "unsubscribed"}) == (2, 0)
    assert told(out, same, kit) == (2, 0)  # left one list of two
    assert told(out, {**kit, "at": "d-1"}) == (2, 0)  # came back by themselves


def test_accounts_of_one_person_are_counted_platform_by_platform() -> None:
    tied = {"keys": ["hubspot:1"]}
    row = person(
        walk(
            access=[
                {"email": "kat@x.com", **tied, "at": "d-90"},
                {"email": "KAT@x.com", **tied, "at": "d-80", "product_ref": "teachable:7"},
                {"email": "kat@work.com", **tied, "at": "d-20"},
                {"email": "kat@old.com", **tied, "at": "d-99", "status": "revoked", "revoked_at": "d-70"},
                {"email": "kat@home.com", **tied, "at": "d-10", "platform": "circle", "product_ref": "circle:3"},
            ]
        )
    )
    assert (row["account_count"], row["second_account_at"]) == (2, at("d-20"))


def test_a_solved_case_asks_only_for_access_that_is_due() -> None:
    ahead = Offer(
        id="cohort", name="Cohort", bought_as=("stripe:price_c",), grants=("teachable:7",), opens_on=at("d+9").date()
    )
    case = {"who": "ann", "at": "d-5", "topic": "access", "status": "solved", "resolved_at": "d-4"}
    bought = [{"who": "ann", "at": "d-9", "product_ref": "stripe:price_c"}]
    early = one(walk(scope(offers=(ahead,)), payments=bought, tickets=[case])["tickets"])
    assert (early["is_payer"], early["has_all_access"], early["is_recently_solved"]) == (True, True, True)
    missing = one(walk(payments=[{"who": "ann", "at": "d-9"}], tickets=[{**case, "resolved_at": "d-20"}])["tickets"])
    assert (missing["is_payer"], missing["has_all_access"], missing["is_recently_solved"]) == (True, False, False)


def test_what_became_of_a_wish_for_the_money_back() -> None:
    case = {"who": "ann", "at": "d-5", "topic": "refund", "status": "solved", "resolved_at": "d-4"}

    def told(refunded_at: str | None = None, used_at: str | None = None) -> tuple[Any, ...]:
        back = {"refunded_minor": 1000, "refunded_at": refunded_at} if refunded_at else {}
        row = one(
            walk(
                payments=[{"who": "ann", "at": "d-20", **back}],
                access=[{"who": "ann", "at": "d-20", "last_used_at": used_at}],
                tickets=[case],
            )["tickets"]
        )
        return row["has_paid"], row["refund_at"], row["has_used_since"]

    assert told() == (True, None, False)
    assert told("d-6") == (True, at("d-6"), False)  # the day before the case
    assert told("d-7") == (True, None, False)
    assert told(None, "d-3") == (True, None, False)  # a day after the solution is still looking
    assert told(None, "d-2") == (True, None, True)
    assert one(walk(tickets=[case])["tickets"])["has_paid"] is False


def test_who_gives_which_score_and_whether_somebody_answers() -> None:
    surveys = walk(
        payments=[
            {"who": "ann", "at": "d-20"},
            {"who": "bob", "at": "d-20", "refunded_minor": 4900, "refunded_at": "d-9"},
            {"who": "eve", "at": "d-1"},
        ],
        access=[{"who": "ann", "at": "d-20"}],
        tickets=[{"who": "ann", "at": "d-2", "topic": "other"}],
        surveys=[
            {"id": "ann", "who": "ann", "at": "d-3", "instrument": "NPS", "score": 6.0},
            {"id": "bob", "who": "bob", "at": "d-3", "instrument": "csat", "score": 3.0},
            {"id": "bob before", "who": "bob", "at": "d-10", "instrument": "csat", "score": 2.0},
            {"id": "eve", "who": "eve", "at": "d-3", "instrument": "nps", "score": 7.0},
            {"id": "why", "who": "eve", "at": "d-3", "instrument": "onboarding", "score": 1.0},
        ],
    )["surveys"]
    columns = ("is_score", "is_detractor", "has_bought", "followed_up_at", "payer_net_minor")
    assert {row["record_id"]: tuple(row[c] for c in columns) for row in surveys.to_dicts()} == {
        "ann": (True, True, True, at("d-2"), 4900),
        "bob": (True, False, False, None, 0),
        "bob before": (True, True, True, None, 0),
        "eve": (True, False, False, None, 4900),
        "why": (False, False, False, None, 4900),
    }
    assert surveys["has_address"].all()


def test_ids_of_contacts_that_are_no_more() -> None:
    keys = walk(
        contacts=[
            {"id": "1", "who": "ann", "at": "d-90", "keys": ["hubspot:1"]},
            {
                "id": "2",
                "at": "d-90",
                "keys": ["hubspot:2", "hubspot:1"],
                "merged_into": "hubspot:1",
                "updated_at": "d-9",
            },
            {
                "id": "3",
                "at": "d-90",
                "keys": ["hubspot:3", "hubspot:2"],
                "merged_into": "hubspot:2",
                "updated_at": "d-8",
            },
            {"id": "4", "who": "bob", "at": "d-90", "keys": ["hubspot:4"], "is_deleted": True, "updated_at": "d-7"},
        ],
        tickets=[
            {"id": "merged", "keys": ["zendesk:1", "hubspot:2"]},
            {"id": "chained", "keys": ["hubspot:3"]},
            {"id": "both", "keys": ["hubspot:3", "hubspot:1"]},
            {"id": "alive", "keys": ["hubspot:1"]},
            {"id": "deleted", "keys": ["hubspot:4"]},
            {"id": "nobody's", "keys": ["hubspot:99"]},
        ],
        deals=[{"id": "own", "keys": ["hubspot:2"]}],
    )["contact_keys"]
    told = keys.select("record_id", "key", "retired_at", "is_survivor_named").sort(pl.all()).rows()
    assert told == [
        ("alive", "hubspot:1", None, False),
        ("both", "hubspot:1", None, False),
        ("both", "hubspot:3", at("d-8"), True),
        ("chained", "hubspot:3", at("d-8"), False),
        ("deleted", "hubspot:4", at("d-7"), False),
        ("merged", "hubspot:2", at("d-9"), False),
    ]


def test_when_somebody_last_turned_out_to_be_one_with_another() -> None:
    found = records(leads=[{"who": "ann", "at": "d-9"}, {"who": "bob", "at": "d-8"}])
    known = resolve(found, country="US")
    ids = dict(known.record_persons().collect().select("record_id", "person_id").iter_rows())
    days = [(at(day).date(), "merge", "p_old", ids["leads_0"], "email") for day in ("d-5", "d-3")]
    changed = pl.DataFrame(days, schema=TABLES["identity_changes"].schema, orient="row")
    merged = Identity(known.people, known.records, known.ties, known.demoted, changed=changed)
    people = build(found, merged, scope()).tables["people"].collect()
    since = dict(people.select("person_id", "merged_at").iter_rows())
    assert since == {ids["leads_0"]: at("d-3 00:00"), ids["leads_1"]: at("d-8")}
