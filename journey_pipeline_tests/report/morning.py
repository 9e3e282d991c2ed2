"""One morning at a fictional academy, drawn by hand: everything that the page and the summary must be able to say."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from journey_pipeline.model import Business, Offer, Rule
from journey_pipeline_tests.publish.northwind import at, finding, frame, refs

AS_OF = datetime(2026, 5, 15, 13, 0, tzinfo=UTC)  # nine o'clock in New York
TODAY = date(2026, 5, 15)
BUSINESS = Business(name="Northwind Academy", timezone="America/New_York", currency="USD")
OFFERS = (Offer(id="bootcamp", name="Data Bootcamp"), Offer(id="club", name="Founders' Club"))

CLAIMS = {
    "paid_implies_access": ("Who has paid gets in.", "critical", "delivery"),
    "refund_revokes_access": ("A refund ends access.", "critical", "finance"),
    "no_duplicate_charge": ("Nobody is charged twice for one purchase.", "critical", "finance"),
    "lead_implies_crm_record": ("Whoever asked is in the CRM.", "critical", "sales"),
    "paid_implies_welcome": ("Who has paid is welcomed.", "warning", "delivery"),
    "one_crm_record_per_person": ("One person is one contact in the CRM.", "warning", "sales"),
    "unsubscribed_not_mailed": ("Who opted out gets no marketing mail.", "warning", "marketing"),
    "paid_access_not_lost": ("Paid access is not taken away.", "critical", "delivery"),
    "product_has_offer": ("Whatever is sold belongs to an offer.", "warning", "data"),
    "source_is_fresh": ("Every source is up to date.", "critical", "data"),
    "booking_has_outcome": ("Every meeting has an outcome.", "info", "sales"),
}
RULES = tuple(
    Rule(name=name, on="people", when="a", then="b", claim=claim, severity=severity, owner=owner)  # type: ignore[arg-type]
    for name, (claim, severity, owner) in CLAIMS.items()
)


def broken(number: int, invariant: str, **rest: Any) -> dict[str, Any]:
    _, severity, owner = CLAIMS[invariant]
    person = f"p_{number:06x}"
    made: dict[str, Any] = {
        "subject": f"person:{person}", "person_id": person, "severity": severity, "last_seen_on": TODAY,
        "identity_confidence": 1.0, "broken_since_at": AS_OF - timedelta(hours=26 * number + 3), **rest,
    }  # fmt: skip
    return finding(f"{invariant[:6]}{number:010}", invariant, owner, **made)


def usd(amount: int, ref: str, kind: str = "paid") -> dict[str, Any]:
    return {"at_risk_minor": amount, "currency": "USD", "at_risk_kind": kind, "money_refs": refs(**{ref: amount})}


def _findings() -> Iterator[dict[str, Any]]:
    for n in range(1, 18):  # more of one rule than the page lists
        yield broken(
            n, "paid_implies_access", offer_id="bootcamp", platform="stripe", record_id=f"ch_3PX{n:04}",
            url=f"https://dashboard.stripe.example/payments/ch_3PX{n:04}",
            cause="never_arrived" if n % 3 else "unmapped", fix="Grant the course on teachable to the payer.",
            evidence=f"stripe:ch_3PX{n:04} succeeded 14 May 06:12; no access on teachable for this person since then",
            first_seen_on=TODAY if n < 3 else date(2026, 5, 2), **usd(49900, f"ch_{n}"),
        )  # fmt: skip
    yield broken(
        31, "paid_implies_access", offer_id="club", platform="paypal", record_id="8XJ99214", cause="outage",
        fix="Grant the level on the club site; tell the buyer.", at_risk_minor=15000, currency="JPY",
        at_risk_kind="paid", money_refs=refs(jp=15000), status="reopened", reopened_count=1, unknown_days=2,
        evidence="paypal:8XJ99214 completed; the level was removed on 3 May",
        identity_confidence=0.87,
    )  # fmt: skip
    yield broken(1, "paid_implies_welcome", offer_id="bootcamp", cause="never_arrived", fix="Send the welcome again.",
                 evidence="stripe:ch_3PX0001; nothing delivered", first_seen_on=TODAY, **usd(49900, "ch_1"))  # fmt: skip
    yield broken(40, "refund_revokes_access", offer_id="bootcamp", platform="teachable", record_id="en_771",
                 url="https://northwind.teachable.example/admin/users/771", cause="arrived_not_applied",
                 fix="Revoke the course on teachable, or mark it as complimentary if that was goodwill.",
                 evidence="stripe:ch_77 refunded 1 May; teachable:en_771 still open, used on 12 May",
                 **usd(49900, "ch_77", "leak"))  # fmt: skip
    yield broken(41, "no_duplicate_charge", offer_id="bootcamp", platform="stripe", record_id="ch_88",
                 url="https://dashboard.stripe.example/payments/ch_88", cause="unexplained",
                 fix="Refund ch_88 on stripe; ch_87 is the one to keep.", first_seen_on=TODAY,
                 evidence="stripe:ch_87 and stripe:ch_88: 499.00 USD each, 4 minutes apart", **usd(49900, "ch_88"))  # fmt: skip
    for n in (50, 51, 52):
        yield broken(n, "lead_implies_crm_record", cause="never_arrived", first_seen_on=TODAY,
                     fix="Create the contact in hubspot from the form entry, then replay the connector's held runs.",
                     evidence=f"typeform:resp_{n} on 14 May; no contact on hubspot", platform="typeform",
                     record_id=f"resp_{n}", at_risk_minor=8100, currency="USD", at_risk_kind="expected",
                     money_refs=[{"ref": f"person:{n}", "amount_minor": 8100}])  # fmt: skip
    yield broken(60, "one_crm_record_per_person", cause="by_hand", fix="Merge the two contacts in hubspot.",
                 evidence="hubspot:551 and hubspot:902 are one person", platform="hubspot", record_id="902",
                 url="javascript:alert(1)")  # fmt: skip
    yield broken(61, "one_crm_record_per_person", cause="by_hand", fix="Merge the two contacts in hubspot.",
                 evidence="<script>document.title = 'owned'</script>", platform="hubspot", record_id="903",
                 url="https://crm.example/contact?email=ann%40example.com")  # fmt: skip
    yield broken(70, "product_has_offer", person_id=None, subject="product:stripe:price_mini", platform="stripe",
                 record_id=None, cause="unexplained", fix="Add stripe:price_mini to an offer in journey.yaml.",
                 evidence="12 sales in 30 days; jane.doe+club@example.com asked what it is", **usd(34800, "mini"))  # fmt: skip
    for n, how in ((80, "holds"), (81, "holds"), (82, "excused:refunded")):
        yield broken(n, "paid_implies_access", status="resolved", resolved_on=date(2026, 5, 13), resolution=how)
    yield broken(83, "paid_access_not_lost", status="resolved", resolved_on=date(2026, 4, 1), resolution="gone")
    yield broken(84, "refund_revokes_access", status="waived", **usd(9900, "w", "leak"))


def tables() -> dict[str, pl.LazyFrame]:
    gates = dict.fromkeys(CLAIMS, ("open", None)) | {
        "unsubscribed_not_mailed": ("closed", "mailchimp.members is stale"),
        "lead_implies_crm_record": ("partial", "hubspot.contacts is partial"),
        "booking_has_outcome": ("not_covered", "bookings"),
    }
    people = [(3, 190), (2, 120), (1, 80), (0, 44)]  # first milestone: how many came no further than the next ones
    return {
        "findings": frame("findings", *_findings()),
        "invariant_days": frame(
            "invariant_days",
            *({"invariant": name, "day_on": TODAY, "currency": "USD", "severity": CLAIMS[name][1],
               "owner": CLAIMS[name][2], "gate": gate, "gate_reason": reason, "evaluated": 120,
               "unknown": 4 if reason else 0}
              for name, (gate, reason) in gates.items()),
        ),
        "people": frame("people", *({"person_id": f"p_{n}"} for n in range(434))),
        "buyer_journeys": frame("buyer_journeys", *_journeys(people)),
        "source_health": frame(
            "source_health",
            *({"platform": platform, "resource": resource, "status": status, "row_count": rows, "usual_row_count": usual,
               "last_load_at": at(15, 12, 30), "complete_until_at": until, "rejected_count": rejected, "detail": detail}
              for platform, resource, status, rows, usual, until, rejected, detail in (
                ("stripe", "charges", "fresh", 1204, 1198, at(15, 12), 2, None),
                ("teachable", "enrolments", "fresh", 655, 650, at(15, 12), 0, None),
                ("typeform", "responses", "fresh", 3310, 3299, at(15, 12), 0, None),
                ("hubspot", "contacts", "partial", 1711, 4810, at(14, 12), 0,
                 "1,711 rows, under half of the last 4,810. If the drop is real: journey accept hubspot.contacts."),
                ("mailchimp", "members", "stale", 4021, 4018, at(12, 12), 0,
                 "The key was refused (401). Renew MAILCHIMP_API_KEY.")))),
        "rejected_records": frame(
            "rejected_records",
            *({"platform": "stripe", "resource": "charges", "reason": "unknown status 'blocked'", "loaded_at": at(15, 12)}
              for _ in range(2)),
            {"platform": "mailchimp", "resource": "members", "reason": "unreadable date of bob@example.org",
             "loaded_at": at(12, 12), "raw": "{}"},
        ),
        "payments": frame("payments", *({"platform": "stripe", "record_id": f"ch_{n}"} for n in range(1204))),
        "contacts": frame("contacts", *({"platform": "hubspot", "record_id": f"{n}"} for n in range(1711))),
    }  # fmt: skip


def _journeys(groups: list[tuple[int, int]]) -> Iterator[dict[str, Any]]:
    """190 were only touched, 120 became leads, 80 of these are in the CRM and paid, 44 of these have access; 30 use it."""
    milestones = ("first_touch_at", "lead_at", "paid_at", "access_at")
    number = 0
    for left_out, size in groups:
        for place in range(size):
            reached = milestones[: len(milestones) - left_out]
            row: dict[str, Any] = {"person_id": f"p_{number}", **dict.fromkeys(reached, at(3))}
            if "lead_at" in reached:
                row["crm_at"] = at(3)
            if "paid_at" in reached:
                row |= {"offer_id": "bootcamp" if place % 4 else "club", "grants_expected": 1, "is_use_tracked": True}
            if "access_at" in reached and place < 30:
                row["first_used_at"] = at(4)
            yield row
            number += 1
