"""What Northwind Academy holds beside the path from lead to access: proposals, reminders, messages to the team, surveys.

All of it agrees with the plan: nothing here goes wrong that stories.py did not decide. Not here: the path itself (tell.py).
"""

# ruff: noqa: PLR2004 - the shares of a made-up business stand where they are used

from datetime import datetime, timedelta

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.registry import TEXT
from journey_pipeline.sandbox.write import keys, whenever, write

CHANNELS = {"C0SALES01": "sales", "C0DISPUTES": "disputes"}
REMINDER, TEXTED_ANSWER = "MG" + "0b" * 16, "MG" + "0c" * 16
ANSWER = "thanks-for-asking"
KEPT_DAYS = 85

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


def agreements(people: pl.DataFrame, at: pl.Expr) -> pl.DataFrame:
    """A proposal for some of the deals: signed shortly before they are won, declined where they are lost."""
    kind, proposal = pl.col("deal"), pl.col("proposal")
    is_usual = proposal == "usual"
    won = (
        pl.when(kind == "won").then("anchor_at")
        .otherwise(pl.coalesce("decided_at", at - pl.duration(hours=8 + pl.col("person") % 12)))
    )  # fmt: skip
    begun = (
        pl.when(~is_usual).then(pl.col("decided_at") - 6 * _HOUR)
        .when(kind == "agreed").then(pl.col("lead_at") + _DAY)
        .otherwise(pl.max_horizontal(pl.col("lead_at") + timedelta(minutes=5), pl.col("anchor_at") - 10 * _DAY))
    )  # fmt: skip
    ends = (
        pl.when(~is_usual).then("decided_at").when(kind == "lost").then(begun + 7 * _DAY).otherwise(won)
    )  # fmt: skip
    is_offered = is_usual & kind.is_in(["won", "agreed", "lost"]) & ((kind == "agreed") | (pl.col("person") % 3 == 0))
    offered = people.filter("contact", is_offered | proposal.is_in(["unsigned", "signed"])).with_columns(
        _begun=begun, _ends=ends
    )
    offered = offered.filter(pl.col("_begun") < pl.col("_ends"), pl.col("_begun") <= at)
    span = pl.col("_ends") - pl.col("_begun")
    is_signed = (kind != "lost") & (proposal != "unsigned")
    signed = pl.col("_ends") - pl.min_horizontal(span / 4, pl.lit(2 * _HOUR))
    sent, viewed = (whenever(pl.lit(value=True), _second(pl.col("_begun") + span / part), at) for part in (8, 3))
    signed_at = whenever(is_signed, _second(signed), at)
    declined_at = whenever(is_usual & (kind == "lost"), pl.col("_ends"), at)
    status = (
        pl.when(signed_at.is_not_null()).then(pl.lit("signed"))
        .when(declined_at.is_not_null()).then(pl.lit("declined"))
        .when(viewed.is_not_null()).then(pl.lit("viewed"))
        .when(sent.is_not_null()).then(pl.lit("sent"))
        .otherwise(pl.lit("draft"))
    )  # fmt: skip
    return write("agreements", "pandadoc", offered, {
        "record_id": pl.col("agreement_id"), "occurred_at": pl.col("_begun"),
        "email": pl.col("hubspot_email"), "phone": pl.col("plain_phone"), "name": pl.col("plain_name"),
        "keys": keys(hubspot="contact_id"), "status": status, "amount_minor": pl.lit(49_900), "currency": "USD",
        "product_ref": "stripe:price_bootcamp", "sent_at": sent, "viewed_at": viewed, "signed_at": signed_at,
        "declined_at": declined_at, "changed_at": pl.max_horizontal("_begun", sent, viewed, signed_at, declined_at),
    })  # fmt: skip


def _second(instant: pl.Expr) -> pl.Expr:
    return instant.dt.truncate("1s")


def reminders(people: pl.DataFrame, at: pl.Expr) -> pl.DataFrame:
    """A text message the day before a call, to those whose number is known."""
    sent = pl.coalesce("booked_at", pl.col("lead_at") + _HOUR) + _DAY
    reminded = people.filter("booking").with_columns(_sent=sent)
    return _texted(reminded.filter(pl.col("_sent").is_not_null()), REMINDER, "0", at)


def answers(people: pl.DataFrame, at: pl.Expr) -> list[pl.DataFrame]:
    """A word to whoever asked: by e-mail, or to the phone of who wrote from an office's address; and what follows later."""
    told = [
        people.with_columns(_sent=pl.col("lead_at") + pl.col("answer_lag"), _mark=pl.lit("4")),
        people.with_columns(_sent=pl.col("written_at"), _mark=pl.lit("5")),
    ]
    asked = pl.concat(told).filter(pl.col("_sent").is_not_null())
    has_office = pl.col("address") == "role"
    sent, arrived = pl.col("_sent"), pl.col("_sent") + timedelta(seconds=4)
    mails = write("messages", "mailchimp", asked.filter(~has_office), {
        "record_id": pl.col("_mark").str.zfill(8) + pl.col("row").cast(TEXT).str.zfill(24), "occurred_at": sent,
        "email": pl.col("typeform_email"), "channel": "email", "purpose": "other", "template_ref": f"mailchimp:{ANSWER}",
        "delivered_at": whenever(sent.is_not_null(), arrived, at),
        "changed_at": pl.max_horizontal(sent, whenever(sent.is_not_null(), arrived, at)),
    })  # fmt: skip
    return [mails, _texted(asked.filter(has_office), TEXTED_ANSWER, "a", at)]


def _texted(people: pl.DataFrame, service: str, mark: str, at: pl.Expr) -> pl.DataFrame:
    """A text message at `_sent`, to those whose number is known."""
    sent, arrived = pl.col("_sent"), pl.col("_sent") + timedelta(seconds=7)
    digits = pl.col("plain_phone").str.replace_all(r"\D", "").str.strip_prefix("1")
    return write("messages", "twilio", people.filter(pl.col("plain_phone").is_not_null()), {
        "record_id": spelled("SM{}{}", pl.lit(mark), pl.col("person").cast(TEXT).str.zfill(31)), "occurred_at": sent,
        "phone": spelled("+1{}", digits), "channel": "sms", "purpose": "other", "template_ref": f"twilio:{service}",
        "delivered_at": whenever(sent.is_not_null(), arrived, at), "changed_at": pl.min_horizontal(arrived, at),
    })  # fmt: skip


def unheard(plan: pl.DataFrame) -> pl.DataFrame:
    """record_id, unheard: the charges whose sale, or dispute, the team is not told of."""
    return plan.filter(pl.col("unheard") != "none").select("unheard", record_id="charge_id")


def notifications(payments: pl.DataFrame, unheard: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """The team hears of every sale within a minute, and of every dispute within the hour; Slack keeps it for a while.

    They name the payment and nobody. Of all parts of the plan at once: messages of one second are told as one.
    """
    silent = {word: group["record_id"].implode() for (word,), group in unheard.group_by("unheard")}
    never = pl.Series([], dtype=TEXT).implode()
    sold = payments.filter(
        pl.col("status") == "succeeded", ~pl.col("record_id").is_in(silent.get("sale", never))
    ).select("platform", "record_id", at=pl.col("occurred_at") + timedelta(seconds=20), channel=pl.lit("sales"))
    disputed = payments.filter(
        pl.col("disputed_at").is_not_null(), ~pl.col("record_id").is_in(silent.get("dispute", never))
    ).select("platform", "record_id", at=pl.col("disputed_at") + timedelta(minutes=20), channel=pl.lit("disputes"))
    heard = pl.concat([sold, disputed]).filter(pl.col("at") > now - timedelta(days=KEPT_DAYS), pl.col("at") <= now)
    channel = pl.col("channel").replace_strict({name: id_ for id_, name in CHANNELS.items()})
    nth = pl.int_range(pl.len()).over("channel", "at") + 1
    tail = pl.when(nth > 1).then(spelled(":{}", nth)).otherwise(pl.lit(""))
    nobody = heard.sort("at", "record_id").with_columns(who=pl.lit(None, TEXT))
    return write("notifications", "slack", nobody, {
        "record_id": spelled("{}:{}.000000{}", channel, pl.col("at").dt.epoch("s"), tail), "occurred_at": pl.col("at"),
        "channel": pl.col("channel"), "about_ref": spelled("{}:{}", pl.col("platform"), pl.col("record_id")),
    })  # fmt: skip


def surveys(people: pl.DataFrame) -> list[pl.DataFrame]:
    """What buyers think: would they recommend us (a form), and how was the course (the academy's own application)."""
    asked = people.filter(
        pl.col("money") != "none",
        pl.col("status") == "succeeded",
        ~pl.col("test_mode"),
        pl.col("sub") != "trialing",
        pl.col("refund") == "none",
    )
    # Of whom nothing is known but a charge, nobody can be asked; somebody who never bought is asked where a story says so.
    is_asked, is_scored = pl.col("address") != "guest", pl.col("score") >= 0
    answered = pl.concat([asked.filter(is_asked & (pl.col("luck") < 0.2) & ~is_scored), people.filter(is_scored)])
    nps = write("surveys", "typeform", answered, {
        "record_id": pl.col("nps_id"),
        "occurred_at": pl.col("anchor_at") + 20 * _DAY, "email": pl.col("mailchimp_email"), "instrument": "nps",
        "score": pl.when(is_scored).then("score").otherwise(7 + pl.col("person") % 4),
        "comment": pl.when(pl.col("person") % 6 == 0).then(pl.lit("Well made.")),
    })  # fmt: skip
    rated = asked.filter(pl.col("luck") > 0.85, "course", pl.col("course_ref").is_not_null())
    csat = write("surveys", "app", rated, {
        "record_id": spelled("{}", pl.col("person") + 1), "occurred_at": pl.col("anchor_at") + 9 * _DAY,
        "email": pl.col("login_email"), "keys": keys(teachable="student_id"), "instrument": "csat",
        "score": 4 + pl.col("person") % 2,
    })  # fmt: skip
    return [nps, csat]
