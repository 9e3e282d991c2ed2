"""Mailchimp and its Transactional, pulled over real HTTP from their fake: what they say, and how they fail."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import md5
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journey_pipeline.errors import SourceError
from journey_pipeline.platforms import http, mailchimp
from journey_pipeline.platforms.base import Pull
from journey_pipeline.platforms.mailchimp import PLATFORM, Options
from journey_pipeline.sandbox.fakes import mailchimp as fake
from journey_pipeline.sandbox.fakes.mailchimp import SECRETS, web_id
from journey_pipeline.sandbox.server import serve
from journey_pipeline.sandbox.world import Trouble, World
from journey_pipeline_tests.platforms.conformance import Case, Conformance
from journey_pipeline_tests.platforms.harness import (
    NOW,
    Cursors,
    Frames,
    make_world,
    pull_all,
    raw_frame,
    read_all,
    world_frame,
)
from journey_pipeline_tests.platforms.openapi import Contract, Exchange, contract, recorded

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)


def hashed(email: str) -> str:
    return md5(email.lower().encode(), usedforsecurity=False).hexdigest()


def consent(email: str, occurred_at: datetime = NOW - 40 * DAY, list_id: str = "a1b2", **more: Any) -> dict[str, Any]:
    record_id = f"{list_id}:{hashed(email)}"
    return {
        "record_id": record_id,
        "occurred_at": occurred_at,
        "email": email,
        "keys": [f"mailchimp:{hashed(email)}"],
        "url": f"https://admin.mailchimp.com/lists/members/view?id={web_id(record_id)}",
        "state": "subscribed",
        "list_ref": f"mailchimp:{list_id}",
        **more,
    }


def newsletter(email: str, campaign: str = "c0ffee", sent_at: datetime = NOW - 5 * DAY, **more: Any) -> dict[str, Any]:
    return {
        "record_id": f"{campaign}:{hashed(email)}",
        "occurred_at": sent_at,
        "email": email,
        "keys": [f"mailchimp:{hashed(email)}"],
        "url": f"https://admin.mailchimp.com/reports/summary?id={web_id(campaign)}",
        "channel": "email",
        "purpose": "newsletter",
        "template_ref": f"mailchimp:{campaign}",
        "delivered_at": sent_at,
        **more,
    }


def mail(record_id: str, sent_at: datetime = NOW - 2 * DAY, **more: Any) -> dict[str, Any]:
    return {
        "record_id": record_id,
        "occurred_at": sent_at,
        "email": f"{record_id}@example.com",
        "channel": "email",
        "purpose": "welcome",
        "template_ref": "mailchimp:welcome-bootcamp",
        "delivered_at": sent_at + 4 * SECOND,
        **more,
    }


ANN, BOB = "Ann.Lee@Example.com", "bob@example.com"


@contextmanager
def account(world: World, **options: Any) -> Iterator[Options]:
    with serve(world, ("mailchimp",)) as urls:
        yield Options(base_url=urls["mailchimp"], **options)


def pull(
    options: Options, at: datetime = NOW, cursors: Cursors | None = None, frames: Frames | None = None
) -> tuple[Frames, Cursors]:
    return pull_all(PLATFORM, options, SECRETS, at, cursors, frames=frames)


def restock(world: World, kind: str, rows: list[dict[str, Any]]) -> None:
    world.records = {**world.records, kind: world_frame("mailchimp", kind, rows)}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BACKOFF_S", 0.01)


def test_an_opt_out_is_dated_by_the_campaign_that_it_answers() -> None:
    """The member says only when anything about it last changed: a sync of names a week later moves that."""
    left, later = NOW - 4 * DAY, NOW - HOUR
    consents = [
        consent(ANN, left, state="unsubscribed", changed_at=later),
        consent(BOB, left, state="unsubscribed", changed_at=later),
        consent("cyd@example.com", changed_at=later),
    ]
    world = make_world(
        "mailchimp", {"consents": consents, "messages": [newsletter(ANN), newsletter("cyd@example.com")]}
    )
    with account(world) as options:
        said = read_all(PLATFORM, pull(options)[0], options)["consents"]
    assert sorted(said.select("email", "occurred_at").rows()) == [
        (ANN, left),
        (BOB, NOW - HOUR),
        ("cyd@example.com", NOW - 40 * DAY),
    ]


def test_an_opt_out_before_the_present_opt_in_dates_nothing() -> None:
    member = {
        "id": "m1", "list_id": "l1", "status": "unsubscribed", "timestamp_opt": "2026-05-10T00:00:00+00:00",
        "last_changed": "2026-05-14T00:00:00+00:00",
    }  # fmt: skip
    left = {"list_id": "l1", "email_id": "m1", "timestamp": "2026-05-01T00:00:00+00:00", "campaign_id": "c1"}
    frames = {"members": raw_frame([member], "members", NOW), "unsubscribes": raw_frame([left], "unsubscribes", NOW)}
    said = read_all(PLATFORM, frames, Options())["consents"]
    assert said["occurred_at"].to_list() == [datetime(2026, 5, 14, tzinfo=UTC)]


@pytest.mark.parametrize("status", ["pending", "transactional", "archived"])
def test_a_status_that_says_nothing_of_the_wish_keeps_what_was_said_before(status: str) -> None:
    before = {"id": "m1", "list_id": "l1", "status": "unsubscribed", "last_changed": "2026-05-01T00:00:00+00:00"}
    frames = {
        "members": pl.concat(
            raw_frame([{**before, "status": word}], "members", at)
            for word, at in (("unsubscribed", NOW - DAY), (status, NOW))
        )
    }
    said = read_all(PLATFORM, frames, Options())["consents"]
    assert said.select("record_id", "state").rows() == [("l1:m1", "unsubscribed")]


def test_a_second_load_doubles_nothing_and_brings_what_changed() -> None:
    world = make_world(
        "mailchimp", {"consents": [consent(ANN), consent(BOB)], "messages": [newsletter(ANN), mail("m_ann")]}
    )
    with account(world) as options:
        frames, cursors = pull(options)
        frames, cursors = pull(options, NOW + HOUR, cursors, frames)
        assert frames["members"].height == 2
        restock(world, "consents", [consent(ANN, NOW + 2 * HOUR, state="unsubscribed"), consent(BOB)])
        restock(
            world,
            "messages",
            [
                newsletter(ANN, opened_at=NOW + 2 * HOUR),
                newsletter(BOB, "decaf", NOW + 3 * HOUR),
                mail("m_ann", bounced_at=NOW + HOUR),
                mail("m_bob", NOW + 3 * HOUR),
            ],
        )
        world.now = NOW + DAY
        frames, _ = pull(options, NOW + DAY, cursors, frames)
    said = read_all(PLATFORM, frames, options)
    assert sorted(said["consents"].select("email", "state", "occurred_at").rows()) == [
        (ANN, "unsubscribed", NOW + 2 * HOUR),
        (BOB, "subscribed", NOW - 40 * DAY),
    ]
    assert frames["members"].filter(pl.col("_loaded_at") == NOW + DAY)["email_address"].to_list() == [ANN]
    assert sorted(said["messages"].select("email", "opened_at", "bounced_at").rows()) == [
        (ANN, NOW + 2 * HOUR, None),
        (BOB, None, None),
        ("m_ann@example.com", None, NOW + HOUR),
        ("m_bob@example.com", None, None),
    ]


def test_changes_within_the_second_of_the_last_load_are_not_lost() -> None:
    world = make_world("mailchimp", {"consents": [consent(ANN, NOW)], "messages": [newsletter(ANN, sent_at=NOW)]})
    with account(world) as options:
        frames, cursors = pull(options)
        restock(world, "consents", [consent(ANN, NOW), consent(BOB, NOW), consent("cyd@example.com", NOW - HOUR)])
        restock(world, "messages", [newsletter(ANN, sent_at=NOW), mail("m_now", NOW), mail("m_late", NOW - 3 * DAY)])
        frames, _ = pull(options, NOW + DAY, cursors, frames)
    said = read_all(PLATFORM, frames, options)
    assert said["consents"]["email"].sort().to_list() == [ANN, BOB]
    assert said["messages"]["email"].sort().to_list() == [ANN, "m_late@example.com", "m_now@example.com"]


def test_who_changes_while_we_page_comes_with_the_next_load_and_hides_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailchimp, "PAGE", 1)
    people = [consent(f"p{n}@example.com", NOW - (n + 1) * DAY) for n in range(4)]
    world = make_world("mailchimp", {"consents": people})
    members = next(r for r in PLATFORM.resources if r.name == "members")
    with account(world) as options:
        first = Pull("mailchimp", members, options, SECRETS, NOW)
        pages = members.pull(first)
        rows = [*next(pages)]
        restock(world, "consents", [*people[:2], {**people[2], "changed_at": NOW + SECOND}, people[3]])
        rows += [row for page in pages for row in page]
        assert len(rows) == first.expected_rows == 4
        frames = {"members": raw_frame(rows, "members", NOW)}
        assert "p2@example.com" not in frames["members"]["email_address"]
        frames, _ = pull(options, NOW + DAY, {"members": first.next_cursor}, frames)
    said = read_all(PLATFORM, frames, options)["consents"]
    assert said["email"].sort().to_list() == [f"p{n}@example.com" for n in range(4)]


def test_transactional_forgets_after_thirty_days_and_the_log_does_not() -> None:
    old = mail("m_old", NOW - 29 * DAY)
    world = make_world("mailchimp", {"messages": [old, mail("m_too_old", NOW - 30 * DAY - SECOND)]})
    with account(world) as options:
        frames, cursors = pull(options)
        world.now = NOW + 2 * DAY
        frames, _ = pull(options, NOW + 2 * DAY, cursors, frames)
    assert read_all(PLATFORM, frames, options)["messages"]["record_id"].to_list() == ["m_old"]


def test_nothing_sent_after_the_load_is_said() -> None:
    messages = [newsletter(ANN, sent_at=NOW), newsletter(BOB, "decaf", NOW + SECOND), mail("m_next", NOW + SECOND)]
    with account(make_world("mailchimp", {"messages": messages})) as options:
        said = read_all(PLATFORM, pull(options)[0], options)["messages"]
    assert said["email"].to_list() == [ANN]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_every_page_boundary(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailchimp, "PAGE", 2)
    people = [f"p{n}@example.com" for n in range(count)]
    consents = [consent(p, state="unsubscribed") for p in people] + [
        consent(ANN, list_id=f"list{n}") for n in range(count)
    ]
    sends = [newsletter(p, sent_at=NOW - 41 * DAY) for p in people]
    many = [newsletter(ANN, f"c{n}", NOW - 30 * DAY) for n in range(count)]
    with account(make_world("mailchimp", {"consents": consents, "messages": [*sends, *many]})) as options:
        frames, _ = pull(options)
    heights = {name: frame.height for name, frame in frames.items()}
    assert heights == {
        "lists": 1 + count,
        "members": 2 * count,
        "campaigns": 1 + count,
        "sent_to": 2 * count,
        "email_activity": 2 * count,
        "unsubscribes": count,
        "transactional": 0,
    }
    said = read_all(PLATFORM, frames, options)
    assert (said["consents"].height, said["messages"].height) == (2 * count, 2 * count)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 9])
def test_an_answer_that_is_full_is_asked_for_in_halves(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailchimp, "FULL_ANSWER", 3)
    mails = [mail(f"m_{n}", NOW - n * 3 * DAY - SECOND) for n in range(count)]
    with account(make_world("mailchimp", {"messages": mails})) as options:
        frames, _ = pull(options)
    assert frames["transactional"]["_id"].sort().to_list() == [f"m_{n}" for n in range(count)]


def test_a_full_second_makes_the_load_partial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailchimp, "FULL_ANSWER", 3)
    world = make_world("mailchimp", {"messages": [mail(f"m_{n}") for n in range(4)]})
    with account(world) as options, pytest.raises(AssertionError, match="the load would be partial"):
        pull(options)


def test_what_a_mail_is_for() -> None:
    rows = [
        {"_id": "1", "ts": 1, "state": "sent", "template": "hello", "tags": ["receipt"], "email": "a@example.com"},
        {"_id": "2", "ts": 1, "state": "sent", "template": "bye", "tags": ["x", "dunning"], "email": "a@example.com"},
        {"_id": "3", "ts": 1, "state": "sent", "template": None, "mc_template": "promo", "tags": []},
    ]
    sends = [{"campaign_id": c, "email_id": "m1", "list_id": "l1", "status": "sent"} for c in ("c1", "c2", "c3")]
    sent = [
        {"id": c, "send_time": "2026-05-01T00:00:00+00:00", "settings": {"title": f"Title {c}"}}
        for c in ("c1", "c2", "c3")
    ]
    frames = {
        "transactional": raw_frame(rows, "transactional", NOW),
        "sent_to": raw_frame(sends, "sent_to", NOW),
        "campaigns": raw_frame(sent, "campaigns", NOW),
    }
    options = Options(purposes={"hello": "welcome", "c2": "cart", "Title c3": "sequence"})
    said = read_all(PLATFORM, frames, options)["messages"]
    assert said.select("record_id", "purpose", "template_ref").rows() == [
        ("1", "welcome", "mailchimp:hello"),
        ("2", "dunning", "mailchimp:bye"),
        ("3", "other", "mailchimp:promo"),
        ("c1:m1", "newsletter", "mailchimp:c1"),
        ("c2:m1", "cart", "mailchimp:c2"),
        ("c3:m1", "sequence", "mailchimp:c3"),
    ]


def test_states_of_transactional_mails() -> None:
    at, sent = 1_778_000_000, datetime.fromtimestamp(1_778_000_000, UTC)
    tried = [{"ts": at + 5, "type": "sent"}, {"ts": at + 60, "type": "bounced"}]
    rows = [
        {"_id": "1_sent", "ts": at, "state": "sent"},
        {"_id": "2_bounced", "ts": at, "state": "bounced", "smtp_events": tried},
        {"_id": "3_soft", "ts": at, "state": "soft-bounced", "smtp_events": []},
        {"_id": "4_rejected", "ts": at, "state": "rejected"},
        {"_id": "5_scheduled", "ts": at, "state": "scheduled"},
        {"_id": "6_canceled", "ts": at, "state": "canceled"},
        {"_id": "7_sms", "ts": at, "state": "sent", "channel": "sms", "to": "+12125550101"},
    ]
    said = read_all(PLATFORM, {"transactional": raw_frame(rows, "transactional", NOW)}, Options())["messages"]
    assert said.select("record_id", "delivered_at", "bounced_at", "channel", "phone").rows() == [
        ("1_sent", sent, None, "email", None),
        ("2_bounced", sent + 5 * SECOND, sent + 60 * SECOND, "email", None),
        ("3_soft", None, sent, "email", None),
        ("4_rejected", None, None, "email", None),
        ("7_sms", sent, None, "sms", "+12125550101"),
    ]


def test_what_cannot_be_read_is_left_to_be_rejected_and_unknown_words_pass() -> None:
    frames = {
        "members": raw_frame(
            [{"id": "m1", "list_id": "l1", "status": "snoozed", "last_changed": "once"}], "members", NOW
        ),
        "transactional": raw_frame([{"_id": "1", "ts": "then", "state": "sent"}], "transactional", NOW),
        "sent_to": raw_frame([{"campaign_id": "gone", "email_id": "m1", "status": "sent"}], "sent_to", NOW),
    }
    said = read_all(PLATFORM, frames, Options())
    assert said["consents"].select("record_id", "state", "occurred_at").rows() == [("l1:m1", "snoozed", None)]
    assert said["messages"].select("record_id", "occurred_at").rows() == [("1", None), ("gone:m1", None)]


@given(st.datetimes(datetime(2001, 1, 1), datetime(2099, 12, 31)), st.integers(-14, 14))  # noqa: DTZ001 - given a zone below
def test_times_with_any_offset_and_the_epoch_are_the_same_instant(local: datetime, hours: int) -> None:
    at = (local - timedelta(hours=hours)).replace(tzinfo=UTC, microsecond=0)
    told = f"{local:%Y-%m-%dT%H:%M:%S}{hours:+03d}:00"
    frames = {
        "members": raw_frame(
            [{"id": "m1", "list_id": "l1", "status": "cleaned", "last_changed": told}], "members", NOW
        ),
        "transactional": raw_frame([{"_id": "1", "ts": int(at.timestamp()), "state": "sent"}], "transactional", NOW),
    }
    said = read_all(PLATFORM, frames, Options())
    assert said["consents"]["occurred_at"].to_list() == said["messages"]["occurred_at"].to_list() == [at]


def test_without_transactional_it_is_not_asked() -> None:
    world = make_world("mailchimp", {"messages": [mail("m_ann"), newsletter(ANN)]})
    with account(world, transactional=False) as options, recorded() as exchanges:
        frames, _ = pull(options)
    assert not [e for e in exchanges if "transactional" in e.path]
    assert read_all(PLATFORM, frames, options)["messages"]["email"].to_list() == [ANN]


def test_only_what_is_used_of_people_leaves_the_vendor() -> None:
    world = make_world("mailchimp", {"consents": [consent(ANN)], "messages": [newsletter(ANN, opened_at=NOW - DAY)]})
    with account(world) as options:
        frames, _ = pull(options)
    assert "192.0.2" not in frames["members"].write_json() + frames["email_activity"].write_json()


def test_where_the_apis_are() -> None:
    assert Options().mandrill_url == "https://mandrillapp.com/api/1.4"
    assert Options(base_url="http://host/mailchimp").mandrill_url == "http://host/mailchimp/transactional"
    assert Options(transactional_url="http://other").mandrill_url == "http://other"


def test_a_key_without_its_ending_is_refused_before_it_could_become_a_host_name() -> None:
    with pytest.raises(SourceError) as caught:
        pull_all(PLATFORM, Options(), {**SECRETS, "MAILCHIMP_API_KEY": "s3cr3t"}, NOW)
    assert not caught.value.is_transient
    assert str(caught.value) == (
        "mailchimp lists: MAILCHIMP_API_KEY lacks its ending (like -us21), which says where the account is."
    )


@pytest.mark.parametrize(
    ("secret", "resource", "scope"),
    [
        ("MAILCHIMP_API_KEY", "members", "a key of the account; Mailchimp's keys have no narrower scopes"),
        ("MANDRILL_API_KEY", "transactional", "a Transactional key allowed to call messages/search"),
    ],
)
def test_a_wrong_key_is_permanent_and_names_the_scope(secret: str, resource: str, scope: str) -> None:
    with account(make_world("mailchimp")) as options, pytest.raises(SourceError) as caught:
        pull_all(PLATFORM, options, {**SECRETS, secret: "wrong-us1"}, NOW, only=[resource])
    assert not caught.value.is_transient
    assert f"mailchimp {resource}: answered 401" in str(caught.value)
    assert f"It needs: {scope}." in str(caught.value)
    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize("resource", ["members", "transactional"])
def test_an_outage_is_transient(resource: str) -> None:
    world = make_world("mailchimp")
    world.trouble["mailchimp"] = Trouble(500)
    with account(world) as options, pytest.raises(SourceError) as caught:
        pull_all(PLATFORM, options, SECRETS, NOW, only=[resource])
    assert caught.value.is_transient
    assert str(caught.value).startswith(f"mailchimp {resource}: answered 500 5 times")
    assert world.trouble["mailchimp"].seen == 5


def whole_account() -> World:
    consents = [consent(ANN), consent(BOB, NOW - 4 * DAY, state="unsubscribed")]
    sends = [newsletter(ANN, opened_at=NOW - DAY), newsletter(BOB, delivered_at=None, bounced_at=NOW - 4 * DAY)]
    mails = [
        mail("m_1", opened_at=NOW - DAY, clicked_at=NOW - DAY),
        mail("m_2", NOW - DAY, delivered_at=None, bounced_at=NOW),
    ]
    return make_world("mailchimp", {"consents": consents, "messages": [*sends, *mails]})


class _Marketing(Contract):
    """Transactional has a description of its own; sent-to is in Mailchimp's reference and not in this one at all."""

    def check(self, exchange: Exchange) -> None:
        if "/transactional/" not in exchange.path and not exchange.path.endswith("/sent-to"):
            super().check(exchange)


def described() -> Contract:
    # `fields` is a parameter of every list in Mailchimp's own reference; this description leaves it out.
    told = ("/lists", "/lists/{list_id}/members", "/campaigns", "/reports/{campaign_id}/email-activity",
            "/reports/{campaign_id}/unsubscribed")  # fmt: skip
    also = {f"GET {p}": ("fields",) for p in told}
    return _Marketing(**vars(contract("mailchimp", "airbyte_mailchimp.yaml", base="/mailchimp", also_parameters=also)))


def test_transactional_keeps_to_the_vendors_description(monkeypatch: pytest.MonkeyPatch) -> None:
    described = contract("mailchimp", "transactional.openapi.json", base="/mailchimp/transactional")
    # Its `ApiKey`, part of every request, allows nothing beside the key: then no request but a bare key were valid.
    spec = deepcopy(dict(described.spec))
    del spec["components"]["schemas"]["ApiKey"]["additionalProperties"]
    described = replace(described, spec=spec)
    known = spec["components"]["schemas"]["MessagesSearchRequest"]["allOf"][1]["properties"]
    monkeypatch.setattr(mailchimp, "FULL_ANSWER", 2)
    with account(whole_account()) as options, recorded() as exchanges:
        pull(options)
        with pytest.raises(SourceError):
            pull_all(PLATFORM, options, {**SECRETS, "MANDRILL_API_KEY": "wrong"}, NOW, only=["transactional"])
    searches = [e for e in exchanges if "/transactional/" in e.path]
    assert {e.sent["query"].partition("[")[0] for e in searches} == {"*", "ts:"}
    assert {e.status for e in searches} == {200, 401}
    for exchange in searches:
        described.check(exchange)
        assert set(exchange.sent) <= {"key", *known}


def test_the_fake_refuses_more_than_the_vendor_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake, "LARGEST_PAGE", 999)
    with account(make_world("mailchimp")) as options, pytest.raises(SourceError, match="mailchimp lists: answered 400"):
        pull(options)


ANN_KEYS = [f"mailchimp:{hashed(ANN)}", "stripe:cus_1", "app:42"]
CONSENTS = [
    consent(ANN, name="Ann Mary Lee", phone="+12125550101", keys=ANN_KEYS),
    consent(ANN, list_id="f6a7", name="Ann"),
    consent(BOB, NOW - 4 * DAY, state="unsubscribed"),
    consent("cyd@example.com", NOW - 3 * DAY, state="cleaned"),
]
MESSAGES = [
    newsletter(ANN, name="Lee, Ann", keys=ANN_KEYS, opened_at=NOW - 4 * DAY, clicked_at=NOW - 3 * DAY),
    newsletter(BOB, delivered_at=None, bounced_at=NOW - 5 * DAY + HOUR),
    newsletter(ANN, "decaf", NOW - 50 * DAY),
    mail("m_ann", keys=["stripe:cus_1"], opened_at=NOW - DAY, clicked_at=NOW - HOUR),
    mail("m_bob", delivered_at=None, bounced_at=NOW - DAY, purpose="receipt", template_ref="mailchimp:receipt"),
    mail("m_cyd", delivered_at=None, purpose="other", template_ref=None),
]


class TestMailchimp(Conformance):
    case = Case(
        "mailchimp",
        now={"consents": CONSENTS, "messages": MESSAGES},
        later={
            "consents": [*CONSENTS[:3], consent("cyd@example.com", NOW + 2 * HOUR, state="unsubscribed")],
            "messages": [*MESSAGES, newsletter(BOB, "latte", NOW + 3 * HOUR), mail("m_dan", NOW + 3 * HOUR)],
        },
        fresh={
            "consents": [consent(BOB, NOW + 2 * HOUR)],
            "messages": [newsletter(BOB, "latte", NOW + 3 * HOUR), mail("m_dan", NOW + 3 * HOUR)],
        },
        many=lambda count: {
            "consents": [consent(f"p{n}@example.com") for n in range(count)],
            "messages": [newsletter(f"p{n}@example.com") for n in range(count)],
        },
        counted="messages",
        page_sizes=("PAGE",),
        described=described,
    )
