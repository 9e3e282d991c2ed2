"""Draws the plan: one row per person and purchase, saying when each thing happens and what goes wrong.

Whole columns are drawn at once, then each story sets its own. Not here: how any platform tells it (tell.py).
"""

# ruff: noqa: PLR2004 - the shares of a made-up business stand where they are drawn

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from journey_pipeline.registry import TIME
from journey_pipeline.sandbox.products import GRANTS, PRODUCTS
from journey_pipeline.sandbox.stories import GIFTS, HEALTHY, STORIES
from journey_pipeline.sandbox.story import (
    ALIKE_LEAST,
    ALIKE_RATE,
    DAY,
    FAULT_LEAST,
    FAULT_RATE,
    HOUR,
    MINUTE,
    MONTH,
    After,
    Ago,
    Lag,
    Story,
)

NEVER = -(2**60)
"""In columns of instants and lags: it doesn't happen."""

WORDS: Mapping[str, tuple[str, ...]] = {
    "product": tuple(PRODUCTS),
    "money": ("none", "once", "subscription"),
    "terms": ("full", "month", "six"),
    "second_terms": ("month", "six"),
    "status": ("succeeded", "pending", "authorised", "failed"),
    "currency": ("USD", "EUR"),
    "method": ("card", "link", "sepa_debit", "bank_transfer", "invoice", "none"),
    "amount": ("list", "coupon", "slip"),
    "order": ("paid", "pending", "none"),
    "app": ("same", "active", "unpaid"),
    "refund": ("none", "half", "all"),
    "dispute": ("none", "open", "won", "lost"),
    "sub": ("none", "active", "ended", "cancelling", "past_due", "paused", "trialing"),
    "basis": ("paid", "comp", "import", "staff"),
    "customer": ("if_paid", "yes", "no"),
    "deal": ("none", "won", "open", "lost", "big", "agreed", "dear"),
    "ticket": ("none", "access", "billing", "refund", "other"),
    "left_state": ("unsubscribed", "cleaned"),
    "form": ("usual", "demo-request", "press"),
    "reach": ("usual", "video", "ad_form"),
    "call": ("held", "missed", "unrecorded", "cancelled", "cancelled_once"),
    "proposal": ("usual", "none", "unsigned", "signed"),
    "address": (
        "same", "dotted", "elsewhere", "by_phone", "contact_elsewhere", "two_contacts", "changed", "keyless", "guest",
        "role", "office", "family", "test", "mistyped_login", "mistyped_lead", "mistyped_list", "work_login", "work_list",
        "other_checkout", "household", "namesake",
    ),
    "unheard": ("none", "sale", "dispute"),
    "names_contact": ("none", "merged", "survivor"),
    "gift_of": ("none", "charge_id", "again_id", "sub_id"),
}  # fmt: skip
"""Columns that hold one of a few words, as its position."""

ROWS_AT_ONCE = 200_000  # as a frame with all its ids and names a row takes 2 kB: never the whole plan at once
INSTALMENTS = 6
TRIAL = 14 * DAY

Column = NDArray[Any]
Plan = dict[str, Column]


def draw(people: int, seed: int, now: datetime) -> Plan:
    """The plan: columns of whole numbers and flags, one row per person, then one per second purchase."""
    rng = np.random.default_rng(seed)
    at = int(now.timestamp())
    story = _cast(people, rng)
    plan = _calm(people, rng, at)
    plan |= _told_of(story, np.arange(people))
    for code, each in enumerate(STORIES):
        rows = np.flatnonzero(story == code)
        place = np.arange(len(rows))
        plan["crowd"][rows], plan["crowd_place"][rows] = rows[place - place % each.crowd], place % each.crowd
        _set(plan, rows, each, rng, at)
    _give(plan, story)
    _address(plan, rng)
    _settle(plan, at)
    return _with_second_purchases(plan, rng, at)


def _told_of(story: Column, person: Column) -> Plan:
    """Whom a row is about: the person, their story, the first of those they share something with, whose gift it is."""
    n = len(story)
    return {
        "story": story, "person": person, "crowd": person.copy(), "crowd_place": np.zeros(n, np.int64),
        "giver": np.full(n, NEVER),
    }  # fmt: skip


def _cast(people: int, rng: np.random.Generator) -> Column:
    """Which story befalls whom: faults and look-alikes at their rates, everybody else by weight.

    Where there aren't people enough for one of each, nothing out of the ordinary happens.
    """
    special: list[int] = []
    named = {story.name: story for story in STORIES}
    for code, story in enumerate(STORIES):
        if not story.is_healthy:
            shared = _count(named[story.beside], people) if story.beside else 0
            special += [code] * (story.crowd * shared or _count(story, people))
    if len(special) > people:
        special = []
    weights = np.array([s.weight for s in HEALTHY])
    rest = rng.choice(len(HEALTHY), people - len(special), p=weights / weights.sum())
    return rng.permutation(np.concatenate([np.array(special, np.int64), rest]))


def _count(story: Story, people: int) -> int:
    least, rate = (FAULT_LEAST, FAULT_RATE) if story.breaks else (ALIKE_LEAST, ALIKE_RATE)
    return story.crowd * (least if story.is_rare else max(least, round(people * rate / story.crowd)))


def _calm(n: int, rng: np.random.Generator, now: int) -> Plan:
    """A plan in which nothing is wrong: everybody is in the CRM, whatever is bought is granted and welcomed."""
    never = np.full(n, NEVER)
    plan: Plan = {name: np.zeros(n, np.int8) for name in WORDS}
    plan |= {
        "anchor_at": now - rng.integers(10 * MINUTE, 600 * DAY, n),
        "lead": rng.random(n) < 0.7,
        "lead_lag": rng.integers(10 * MINUTE, 20 * DAY, n),
        "touch": rng.random(n) < 0.6,
        "contact": np.ones(n, bool),
        "contact_lag": rng.integers(20, 10 * MINUTE, n),
        "contact_deleted_at": never.copy(),
        "merged": rng.random(n) < 0.01,
        "second_contact_at": never.copy(),
        "deal_lag": rng.integers(5 * MINUTE, 20 * HOUR, n),
        "booking": np.zeros(n, bool),
        "consent": rng.random(n) < 0.6,
        "may_leave": rng.random(n) < 0.15,
        "left_share": rng.random(n),
        "left_at": never.copy(),
        "other_list": np.zeros(n, bool),
        "mailed_anyway": np.zeros(n, bool),
        "receipt_at": never.copy(),
        "bounces": np.zeros(n, bool),
        "cart_at": never.copy(),
        "sales_at": never.copy(),
        "chase_at": never.copy(),
        "webinar": np.arange(n) % 4 == 0,
        "opt_out_mirrored": np.ones(n, bool),
        "score": np.full(n, -1),
        "more_addresses": np.zeros(n, np.int64),
        "second_account_at": never.copy(),
        "ticket_share": rng.random(n),
        "ticket_at": never.copy(),
        "reply_lag": rng.integers(5 * MINUTE, int(3.5 * HOUR), n),
        "resolve_lag": rng.integers(4 * HOUR, 2 * DAY, n),
        "phone": rng.random(n) < 0.65,
        "failed": rng.random(n) < 0.03,
        "refunded_at": never.copy(),
        "disputed_at": never.copy(),
        "again_at": never.copy(),
        "again_refunded": np.zeros(n, bool),
        "test_mode": np.zeros(n, bool),
        "charge": np.ones(n, bool),
        "is_mirrored": np.ones(n, bool),
        "course": np.ones(n, bool),
        "second_course": np.ones(n, bool),
        "space": np.ones(n, bool),
        "expires": np.zeros(n, bool),
        "granted_anyway": np.zeros(n, bool),
        "is_used": np.ones(n, bool),
        "used_at": never.copy(),
        "access_lag": rng.integers(5, 40 * MINUTE, n),
        "close_lag": rng.integers(5 * MINUTE, 6 * HOUR, n),
        "lost_at": never.copy(),
        "welcome": np.ones(n, bool),
        "welcome_lag": rng.integers(10, 40 * MINUTE, n),
        "periods": rng.integers(1, 13, n),
        "ended_at": never.copy(),
        "cancelled_at": never.copy(),
        "second_sub_at": never.copy(),
        "late_at": never.copy(),
        "late_refunded": np.zeros(n, bool),
        "sub_refunded_at": never.copy(),
        "missed": np.zeros(n, np.int64),
        "seats": np.ones(n, np.int64),
        "moves": np.zeros(n, bool),
        "luck": rng.random(n),
        "visit_lag": rng.integers(MINUTE, 2 * DAY, n),
        "answer_lag": rng.integers(2 * MINUTE, 3 * HOUR, n),
        "owned": np.ones(n, bool),
        "claims_source": np.zeros(n, bool),
        "rewritten": np.zeros(n, bool),
        "booked_at": never.copy(),
        "decided_at": never.copy(),
        "written_at": never.copy(),
    }
    plan["currency"] = (rng.random(n) < 0.15).astype(np.int8)
    plan["method"] = (rng.random(n) < 0.1).astype(np.int8)
    plan["left_state"] = (rng.random(n) < 0.2).astype(np.int8)
    plan["ticket"] = np.where(rng.random(n) < 0.05, rng.integers(1, 5, n), 0).astype(np.int8)
    return plan


def _set(plan: Plan, rows: Column, story: Story, rng: np.random.Generator, now: int) -> None:
    """Set the story's columns; the anchor first, since others may count from it."""
    for name in sorted(story.sets, key="anchor_at".__ne__):
        value = story.sets[name]
        match value:
            case Ago(least, most):
                value = now - rng.integers(int(least), int(most) + 1, len(rows))
            case After(least, most):
                value = plan["anchor_at"][rows] + rng.integers(int(least), int(most) + 1, len(rows))
            case Lag(least, most):
                value = rng.integers(int(least), int(most) + 1, len(rows))
            case None:
                value = NEVER
            case str():
                value = WORDS[name].index(value)
        plan[name][rows] = value


def _give(plan: Plan, story: Column) -> None:
    names = [s.name for s in STORIES]
    for giver, given in GIFTS:
        givers = np.flatnonzero(story == names.index(giver))
        plan["giver"][story == names.index(given)] = np.repeat(givers, STORIES[names.index(given)].crowd)


def _address(plan: Plan, rng: np.random.Generator) -> None:
    """How healthy people write their addresses: as they are, in dots and tags, or another one to log in with.

    Some who only asked get the newsletter at another address, which nothing ties to them but what it looks like.
    """
    n = len(plan["story"])
    is_free = plan["story"] < len(HEALTHY)
    has_account = np.isin(
        plan["product"], [WORDS["product"].index(p) for p in ("bootcamp", "membership", "ebook", "bundle")]
    )
    fate = rng.random(n)
    elsewhere, dotted = (WORDS["address"].index(w) for w in ("elsewhere", "dotted"))
    plan["address"][is_free & has_account & (fate < 0.08)] = elsewhere
    plan["address"][is_free & (fate > 0.85)] = dotted
    only_asks = plan["story"] == [s.name for s in STORIES].index("prospect")
    for mode, (least, most) in {"mistyped_list": (0.08, 0.13), "work_list": (0.13, 0.18)}.items():
        plan["address"][only_asks & (fate >= least) & (fate < most)] = WORDS["address"].index(mode)
    plan["phone"] |= plan["address"] == elsewhere  # the community knows them by it


def _settle(plan: Plan, now: int) -> None:
    """Work out what follows from the rest."""
    _bill(plan, now)
    _know(plan, now)


def _bill(plan: Plan, now: int) -> None:
    """Of subscriptions: periods paid, and when they ended or were cancelled."""
    sub = {word: plan["sub"] == code for code, word in enumerate(WORDS["sub"])}
    anchor, periods = plan["anchor_at"], plan["periods"]
    is_behind = sub["ended"] | sub["past_due"]  # of these, the anchor is when the paid time ran out
    anchor[is_behind] -= periods[is_behind] * MONTH
    running = np.where(sub["trialing"], 0, (now - anchor) // MONTH + 1)
    periods = np.where(is_behind, periods, running)
    is_complete = (plan["terms"] == WORDS["terms"].index("six")) & (periods > INSTALMENTS)
    periods[is_complete] = INSTALMENTS
    paid_until = anchor + periods * MONTH
    is_over = (sub["ended"] | is_complete) & (plan["ended_at"] == NEVER)
    ended = np.where(is_over, paid_until, plan["ended_at"])
    # Cancelled at some time in the last paid period; just before access was cut, if it was; at once, if it ended early.
    last_paid = paid_until - MONTH
    some_time = last_paid + (plan["luck"] * (np.minimum(now, paid_until) - last_paid)).astype(np.int64)
    cancelled = np.where(plan["lost_at"] != NEVER, plan["lost_at"] - MINUTE, some_time)
    cancelled = np.where(sub["ended"] & (ended < paid_until), ended, cancelled)
    plan |= {
        "periods": periods, "is_complete": is_complete, "ended_at": ended,
        "cancelled_at": np.where(sub["cancelling"] | sub["ended"], cancelled, NEVER),
        "moved_at": np.where(plan["moves"], last_paid, NEVER),
    }  # fmt: skip


def _know(plan: Plan, now: int) -> None:
    """When people ask, join the list, leave it, and write to support: some time since they are known."""
    is_healthy = plan["story"] < len(HEALTHY)
    lead_at = np.where(plan["lead"], plan["anchor_at"] - plan["lead_lag"], NEVER)
    known_at = np.where(plan["lead"], lead_at, plan["anchor_at"])
    spare = np.maximum(now - known_at - HOUR, 0)
    left_at, ticket_at = (
        known_at + HOUR + (plan.pop(share) * spare).astype(np.int64) for share in ("left_share", "ticket_share")
    )
    leaves = plan["consent"] & plan.pop("may_leave") & is_healthy & (plan["left_at"] == NEVER)
    asks = (plan["ticket"] > 0) & (plan["ticket_at"] == NEVER)
    # Whoever wants their money back gets it; of the others who bought, nobody asks.
    wants_back = is_healthy & (plan["ticket"] == WORDS["ticket"].index("refund")) & (plan["money"] > 0)
    gets_back = wants_back & (plan["refund"] > 0) & (plan["refunded_at"] != NEVER)
    plan["ticket"][wants_back & ~gets_back] = WORDS["ticket"].index("billing")
    ticket_at = np.where(gets_back, plan["refunded_at"] - 6 * HOUR, ticket_at)
    plan |= {
        "lead_at": lead_at,
        "is_usual": is_healthy & (plan["reach"] == WORDS["reach"].index("usual")),
        "joined_at": np.where(plan["consent"], known_at + MINUTE, NEVER),
        "left_at": np.where(leaves, left_at, plan["left_at"]),
        "left_state": np.where(is_healthy, plan["left_state"], 0).astype(np.int8),
        "ticket_at": np.where(asks, ticket_at, plan["ticket_at"]),
    }


def _with_second_purchases(plan: Plan, rng: np.random.Generator, now: int) -> Plan:
    """Some who bought the e-book come back for the bootcamp: a second row of theirs, for the purchase alone."""
    names = [s.name for s in STORIES]
    readers = plan["story"] == names.index("ebook")
    rows = np.flatnonzero(readers & (plan["anchor_at"] < now - 60 * DAY) & (plan["luck"] < 0.15))
    again = _calm(len(rows), rng, now)
    again |= _told_of(np.full(len(rows), names.index("bootcamp")), plan["person"][rows])
    _set(again, np.arange(len(rows)), STORIES[names.index("bootcamp")], rng, now)
    bought = plan["anchor_at"][rows]
    again["anchor_at"] = bought + DAY + (again["luck"] * (now - bought - 2 * DAY)).astype(np.int64)
    _settle(again, now)
    for shared in ("currency", "address", "phone"):
        again[shared] = plan[shared][rows]
    both = {name: np.concatenate([column, again[name]]) for name, column in plan.items()}
    both["is_first"] = np.arange(len(both["person"])) < len(plan["person"])
    return both


def frames(plan: Plan, now: datetime) -> Iterator[pl.DataFrame]:
    """The plan as frames of so many rows: instants are times, lags durations, words text; null where nothing happens.

    Each row with what its product grants, the ids of everything, and when the right to access ends.
    """
    rows = len(plan["person"])
    for start in range(0, rows, ROWS_AT_ONCE):
        part = {name: column[start : start + ROWS_AT_ONCE] for name, column in plan.items()}
        numbers = np.arange(start, min(start + ROWS_AT_ONCE, rows))
        yield _frame({"row": numbers, **part}, int(now.timestamp()))


def _frame(plan: Plan, now: int) -> pl.DataFrame:
    frame = pl.DataFrame(plan)
    instants = [c for c in plan if c.endswith("_at")]
    lags = [c for c in plan if c.endswith("_lag")]
    frame = frame.with_columns(
        *(pl.when(pl.col(c) != NEVER).then(pl.from_epoch(pl.col(c), "s").cast(TIME)).alias(c) for c in instants),
        *(pl.when(pl.col(c) != NEVER).then(pl.duration(seconds=pl.col(c))).alias(c) for c in lags),
        *(_word(c, words) for c, words in WORDS.items()),
        pl.when(pl.col("giver") != NEVER).then("giver").alias("giver"),
    )
    # What lies ahead hasn't happened. Only what is agreed for later (the end of a paid period) may do so.
    at = pl.lit(now).pipe(pl.from_epoch, "s").cast(TIME)
    frame = frame.with_columns(pl.when(pl.col(c) <= at).then(c).alias(c) for c in instants)
    ends = (
        pl.when(pl.col("again_at").is_not_null(), pl.col("again_at") > pl.col("refunded_at")).then(None)
        .when(pl.col("refund") == "all").then("refunded_at")
        .when(pl.col("dispute").is_in(["open", "lost"])).then("disputed_at")
        .when("moves").then("moved_at")
        .when(~pl.col("is_complete")).then("ended_at")
    )  # fmt: skip
    closed = pl.min_horizontal("lost_at", pl.col("ends_at") + pl.col("close_lag"))
    return (
        frame.join(GRANTS, on="product", how="left", validate="m:1", maintain_order="left")
        .with_columns(ends_at=ends, who=_id("p", "person"), **_ids())
        .with_columns(closed_at=pl.when(closed <= at).then(closed))
    )


def _word(column: str, words: Sequence[str]) -> pl.Expr:
    codes = list(range(len(words)))
    return pl.col(column).cast(pl.Int64).replace_strict(codes, list(words), return_dtype=pl.String).alias(column)


def _id(prefix: str, number: str | pl.Expr, tail: str = "", digits: int = 9) -> pl.Expr:
    number = pl.col(number) if isinstance(number, str) else number
    return pl.lit(prefix) + number.cast(pl.String).str.zfill(digits) + pl.lit(tail)


def _ids() -> dict[str, pl.Expr]:
    """Every id follows from the person's or the row's number, in the shape of its vendor's."""
    person, row = pl.col("person"), pl.col("row")
    return {
        "visitor_id": _id("v", person),
        "lead_id": _id("tf", person, digits=14),
        "contact_id": _id("", 100_000_001 + person * 10),
        "second_contact_id": _id("", 100_000_002 + person * 10),
        "merged_contact_id": _id("", 100_000_003 + person * 10),
        "deal_id": _id("", 50_000_000_001 + person),
        "booking_id": _id("bk_", person),
        "meeting_id": _id("mt_", person),
        "agreement_id": _id("msFY", person, digits=18),
        "customer_id": _id("cus_", person),
        "charge_id": _id("ch_", row, "00"),
        "again_id": _id("ch_", row, "80"),
        "late_id": _id("ch_", row, "95"),
        "last_charge_id": _id("ch_", row) + (pl.col("periods") - 1).cast(pl.String).str.zfill(2),
        "order_id": _id("", 9_000_001 + row, digits=1),
        "app_sub_id": _id("", row + 1, digits=1),
        "gift_ref": pl.when(pl.col("gift_of") == "charge_id").then(_id("stripe:ch_", "giver", "00"))
                      .when(pl.col("gift_of") == "again_id").then(_id("stripe:ch_", "giver", "80"))
                      .when(pl.col("gift_of") == "sub_id").then(_id("stripe:sub_", "giver", "01")),
        "sub_id": _id("sub_", row, "01"),
        "second_sub_id": _id("sub_", row, "02"),
        "second_student_id": _id("", 50_000_001 + person, digits=1),
        "refused_id": _id("ch_", row, "90"),
        "nps_id": _id("nps", person, digits=14),
        "student_id": _id("", 5_000_001 + person, digits=1),
        "member_id": _id("m", person),
        "requester_id": _id("", 900_000_001 + person),
        "ticket_id": _id("", 10_001 + person, digits=1),
    }  # fmt: skip
