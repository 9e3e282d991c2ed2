"""A business of a few people, drawn by hand, with every case that the views must tell apart."""

from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from journey_pipeline.registry import TABLES

TODAY, YESTERDAY = date(2026, 5, 15), date(2026, 5, 14)


def at(day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2026, 5, day, hour, minute, tzinfo=UTC)


def frame(table: str, *rows: dict[str, Any]) -> pl.LazyFrame:
    return pl.LazyFrame(list(rows), schema=TABLES[table].schema)


def refs(**amounts: int) -> list[dict[str, Any]]:
    return [{"ref": f"payment:stripe:{ref}", "amount_minor": amount} for ref, amount in amounts.items()]


def finding(finding_id: str, invariant: str, owner: str, **rest: Any) -> dict[str, Any]:
    return {
        "finding_id": finding_id, "invariant": invariant, "owner": owner, "status": "open", "severity": "critical",
        "first_seen_on": YESTERDAY, "last_seen_on": TODAY, "cause": "unexplained", "fix": "look", **rest,
    }  # fmt: skip


PAID = {"currency": "USD", "at_risk_kind": "paid"}
FINDINGS = (
    # ann: two findings on one payment (the greater counts once), seen by two teams
    finding("f1", "paid_implies_access", "delivery", person_id="ann", offer_id="bootcamp", broken_since_at=at(12),
            at_risk_minor=49900, money_refs=refs(ch_1=49900), **PAID),
    finding("f2", "paid_implies_welcome", "delivery", person_id="ann", offer_id="bootcamp", broken_since_at=at(13),
            at_risk_minor=20000, money_refs=refs(ch_1=20000), severity="warning", **PAID),
    finding("f3", "paid_implies_won", "sales", person_id="ann", offer_id="bootcamp", broken_since_at=at(14),
            at_risk_minor=49900, money_refs=refs(ch_1=49900), first_seen_on=TODAY, severity="warning", **PAID),
    # ben: pays in yen, came back; cho: a sale that may never happen
    finding("f4", "paid_implies_access", "delivery", person_id="ben", offer_id="bootcamp", broken_since_at=at(11),
            at_risk_minor=5000, currency="JPY", at_risk_kind="paid", money_refs=refs(ch_2=5000), status="reopened",
            first_seen_on=date(2026, 5, 1), reopened_count=1),
    finding("f5", "lead_implies_crm_record", "sales", person_id="cho", broken_since_at=at(14), at_risk_minor=700,
            money_refs=refs(cho=700), currency="USD", at_risk_kind="expected", first_seen_on=TODAY),
    # no money at all; over; waived
    finding("f6", "one_crm_record_per_person", "sales", person_id="ann", severity="info", currency="USD"),
    finding("f7", "paid_implies_access", "delivery", person_id="cho", at_risk_minor=99900, money_refs=refs(ch_9=99900),
            status="resolved", resolved_on=TODAY, **PAID),
    finding("f8", "paid_implies_access", "delivery", person_id="cho", at_risk_minor=99900, money_refs=refs(ch_8=99900),
            status="waived", **PAID),
)  # fmt: skip


def tables() -> dict[str, pl.LazyFrame]:
    day = {k: FINDINGS[0][k] for k in ("finding_id", "invariant", "owner", "currency", "at_risk_kind")}
    ann_paid = {"paid_at": at(10, 9), "currency": "USD", "paid_minor": 49900, "net_minor": 49900}
    return {
        "findings": frame("findings", *FINDINGS),
        "finding_days": frame(
            "finding_days",
            {**day, "day_on": YESTERDAY, "verdict": "broken", "at_risk_minor": 900, "money_refs": refs(ch_1=900)},
            {**day, "finding_id": "f2", "day_on": YESTERDAY, "verdict": "broken", "at_risk_minor": 500,
             "money_refs": refs(ch_1=300, ch_2=200)},
            {**day, "day_on": TODAY, "verdict": "unknown", "at_risk_minor": 900, "money_refs": refs(ch_1=900)},
            {**day, "finding_id": "f5", "day_on": TODAY, "verdict": "broken", "at_risk_minor": 700,
             "money_refs": refs(cho=700), "at_risk_kind": "expected"},
        ),
        "invariant_days": frame(
            "invariant_days",
            {"invariant": "paid_implies_access", "day_on": YESTERDAY, "currency": "USD", "gate": "closed"},
            *({"invariant": name, "day_on": TODAY, "currency": "USD", "gate": gate, "severity": severity,
               "owner": owner, "gate_reason": reason} for name, gate, severity, owner, reason in (
                ("paid_implies_access", "open", "critical", "delivery", None),
                ("paid_implies_welcome", "open", "warning", "delivery", None),
                ("paid_implies_won", "open", "warning", "sales", None),
                ("lead_implies_crm_record", "partial", "critical", "sales", "source:hubspot.contacts"),
                ("one_crm_record_per_person", "open", "info", "sales", None),
                ("refund_revokes_access", "closed", "critical", "finance", "source:teachable.enrolments"))),
        ),
        "people": frame("people", {"person_id": "ann", "name": "Ann Lee", "email": "ann@example.com"},
                        {"person_id": "ben"}, {"person_id": "cho"}),
        "buyer_journeys": frame(
            "buyer_journeys",
            {"person_id": "ann", "offer_id": "bootcamp", "lead_at": at(9, 9), "crm_at": at(9, 8), **ann_paid,
             "access_at": at(10, 10), "first_used_at": at(11, 10), "stage": "using"},
            {"person_id": "ben", "offer_id": "bootcamp", "lead_at": at(9, 9), "paid_at": at(10, 9), "currency": "JPY",
             "paid_minor": 5000, "access_at": at(10, 13), "stage": "has_access"},
            {"person_id": "dee", "offer_id": "bootcamp", "paid_at": at(10, 9), "stage": "paid"},
            {"person_id": "cho", "lead_at": at(14), "stage": "lead"},
            {"person_id": "qa", "offer_id": "bootcamp", "paid_at": at(1), "is_test": True},
        ),
        "source_health": frame(
            "source_health",
            {"platform": "stripe", "resource": "charges", "status": "fresh", "row_count": 3, "last_load_at": at(15, 6)},
            {"platform": "teachable", "resource": "enrolments", "status": "stale", "row_count": 1},
        ),
        "rejected_records": frame(
            "rejected_records",
            *({"platform": "stripe", "resource": "charges", "kind": "payments", "reason": "unknown status",
               "loaded_at": at(day)} for day in (13, 15)),
            {"platform": "stripe", "resource": "charges", "kind": "payments", "reason": "no id", "loaded_at": at(14)},
        ),
    }  # fmt: skip
