"""campaigns, pulses, reported_vs_actual: small worlds as of Friday 15 May 2026 12:00 UTC, worked out by hand."""

from datetime import date, datetime, timedelta
from typing import Any

from journey_pipeline.model import Report
from journey_pipeline_tests.worlds import OFFERS, at, one, scope, walk

TODAY = date(2026, 5, 15)


def spend(days_ago: int, clicks: int, campaign: str = "spring", source: str = "meta", **more: Any) -> dict[str, Any]:
    return {"platform": "ads", "id": f"{source}{campaign}{days_ago}", "at": f"d-{days_ago} 00:00",
            "day_on": TODAY - timedelta(days=days_ago), "source": source, "campaign": campaign, "clicks": clicks,
            "cost_minor": 100, "currency": "USD", **more}  # fmt: skip


def touch(days_ago: int, campaign: str | None = "spring", source: str = "meta") -> dict[str, Any]:
    return {"at": f"d-{days_ago}", "source": source, "campaign": campaign, "keys": [f"posthog:{days_ago}{campaign}"]}


def test_a_campaign_counts_the_last_three_whole_days() -> None:
    found = walk(
        spend=[spend(0, 1000), spend(1, 40), spend(2, 35), spend(3, 52), spend(4, 7)],
        touchpoints=[touch(0), touch(3), touch(4), touch(9, source="Facebook"), touch(2, "SPRING", "fb")],
        leads=[{"who": "ann", "at": "d-1", "source": "meta", "campaign": "Spring"},
               {"who": "bob", "at": "d-1", "source": "google", "campaign": "spring"}],
    )["campaigns"]  # fmt: skip
    row = one(found, campaign="spring")
    assert (row["clicks_3d"], row["touches_3d"], row["leads_3d"], row["cost_3d_minor"]) == (127, 2, 1, 300)
    assert row["live_since_at"] == at("d-4 00:00")
    assert row["expected_leads_3d"] == 2 * 1 / 4  # one lead of four visits of the source in four weeks


def test_a_campaign_runs_since_its_latest_gap() -> None:
    found = walk(spend=[spend(1, 5), spend(2, 5), spend(3, 0), spend(4, 5)])["campaigns"]
    assert found["live_since_at"].to_list() == [at("d-2 00:00")]


def test_visits_under_another_spelling_are_told() -> None:
    found = walk(spend=[spend(1, 5, "Spring Sale 26")], touchpoints=[touch(1, "spring-sale_26")])["campaigns"]
    assert found.select("touches_3d", "has_renamed_touches").rows() == [(0, True)]


def test_a_sale_is_the_campaigns_whose_visitor_bought() -> None:
    visit = {**touch(5), "keys": ["app:1"]}
    found = walk(
        spend=[spend(1, 5)], touchpoints=[visit],
        payments=[{"who": "ann", "at": "d-1", "keys": ["app:1"]}, {"who": "bob", "at": "d-1"}],
    )["campaigns"]  # fmt: skip
    assert found["orders_3d"].to_list() == [1]


def leads(form: str, *days_ago: float) -> list[dict[str, Any]]:
    return [{"who": f"{form}{n}", "form": form, "at": at("d-0") - timedelta(days=d)} for n, d in enumerate(days_ago)]


def test_a_pulse_is_what_came_in_the_four_weeks_before_it_fell_silent() -> None:
    daily = leads("webinar", *(2 + n / 4 for n in range(4 * 28)))
    found = walk(leads=[*daily, *leads("rare", 10, 12, 39), *leads("dead", 61, 62)])["pulses"]
    row = one(found, label="webinar")
    assert (row["usual_per_day"], row["silent_days"], row["longest_gap_days"]) == (4.0, 2.0, 0.25)
    assert row["last_at"] == at("d-2")
    rare = one(found, label="rare")
    assert (rare["usual_per_day"], rare["longest_gap_days"]) == (2 / 28, 2.0)
    assert found["label"].to_list() == ["rare", "webinar"]  # what fell silent two months ago is history


def test_a_renewal_is_no_pulse_and_a_closed_offer_is_told() -> None:
    closed = [o.model_copy(update={"closes_on": TODAY - timedelta(days=1)}) if o.id == "cohort" else o for o in OFFERS]
    monthly = [
        {"who": "ann", "at": f"d-{d}", "product_ref": "stripe:price_m", "subscription_ref": "stripe:s"} for d in (40, 9)
    ]
    cohort = [{"who": "bob", "at": "d-14", "product_ref": "stripe:price_c", "amount_minor": 2800}]
    found = walk(scope(offers=tuple(closed)), payments=[*monthly, *cohort])["pulses"]
    rows = found.select("kind", "platform", "label", "last_at", "silent_minor", "currency", "is_closed").rows()
    assert rows == [
        ("payments", "stripe", "cohort", at("d-14"), 1400, "USD", True),
        ("payments", "stripe", "membership", at("d-40"), 4900 * 40 // 28, "USD", False),
    ]


def figure(metric: str, value: float, starts: date, ends: date, **more: Any) -> dict[str, Any]:
    return {"platform": "sheet", "id": f"{metric}{starts}", "report": "sheet", "metric": metric, "value": value,
            "starts_on": starts, "ends_on": ends, **more}  # fmt: skip


def test_a_figure_stands_beside_ours_in_its_own_days_and_currency() -> None:
    april = (date(2026, 4, 1), date(2026, 4, 30))
    sales = [
        ("2026-04-01T00:00", 10000, "USD", 2500), ("2026-04-30T23:59", 20000, "USD", 0),
        ("2026-05-01T00:00", 40000, "USD", 0), ("2026-03-31T23:59", 40000, "USD", 0), ("2026-04-10T00:00", 500, "JPY", 0),
    ]  # fmt: skip
    paid = [
        {"who": f"p{n}", "at": datetime.fromisoformat(when + "+00:00"), "amount_minor": amount, "currency": currency,
         "refunded_minor": back, "refunded_at": "d-1" if back else None}
        for n, (when, amount, currency, back) in enumerate(sales)
    ]  # fmt: skip
    reports = {
        "net": Report(claim="exact", metric="net_revenue"), "sheet.yen": Report(claim="exact", metric="gross_revenue"),
        "sales": Report(claim="exact", metric="orders"),
    }  # fmt: skip
    found = walk(
        scope(reports=reports), payments=paid,
        reported=[figure("net", 300.0, *april, currency="USD"), figure("yen", 500, *april, currency="JPY"),
                  figure("sales", 4, *april), figure("mood", 7, *april)],
    )["reported_vs_actual"]  # fmt: skip
    columns = ("metric", "claim", "value_computed", "difference", "tolerance", "gross_computed")
    assert {row[0]: row[1:] for row in found.select(columns).rows()} == {
        "net": ("exact", 275.0, 25.0, 1.375, 300.0), "yen": ("exact", 500.0, 0.0, 2.5, None),
        "sales": ("exact", 3.0, 1.0, 1.0, None), "mood": (None, None, None, 1.0, None),
    }  # fmt: skip
    assert set(found["ends_at"]) == {at(datetime.fromisoformat("2026-05-01T00:00+00:00"))}


def test_what_analytics_usually_sees_is_the_median_of_four_weeks() -> None:
    days = [TODAY - timedelta(days=d) for d in range(20, 0, -1)]
    paid = [{"who": f"p{n}", "at": f"d-{20 - n}", "amount_minor": 10000} for n in range(20)]
    seen = [figure("web", 80.0 if n < 19 else 30.0, day, day, currency="USD") for n, day in enumerate(days)]
    reports = {"web": Report(claim="sampled", metric="new_revenue")}
    found = walk(scope(reports=reports), payments=paid, reported=seen)["reported_vs_actual"].sort("starts_on")
    assert found["usual_ratio"].to_list() == [None] * 14 + [0.8] * 6
    assert found["ratio"].to_list()[-1] == 0.3
    assert found["ratio_band"].to_list()[-1] == 0.15


def test_an_advertising_sources_conversions_are_told_week_by_week() -> None:
    monday = date(2026, 5, 4)
    days = [(TODAY - monday).days - n for n in range(7)]
    found = walk(
        scope(reports={"google": Report(claim="claimed", metric="leads")}),
        spend=[*(spend(d, 1, conversions=2.0) for d in days), spend(2, 1, conversions=9.0),
               spend(8, 1, source="google", conversions=5.0)],
        payments=[{"who": "ann", "at": "d-7"}, {"who": "bob", "at": "d-8", "product_ref": "stripe:price_m"}],
        leads=[{"who": "cy", "at": "d-6"}],
    )["reported_vs_actual"]  # fmt: skip
    columns = ("report", "starts_on", "ends_on", "value_reported", "value_computed", "is_lead_goal", "kind")
    assert found.select(columns).rows() == [
        ("google", monday, date(2026, 5, 10), 5.0, 1.0, True, "leads"),
        ("meta", monday, date(2026, 5, 10), 14.0, 2.0, False, "payments"),
    ]


def test_no_records_make_no_groups() -> None:
    tables = walk()
    assert [tables[name].height for name in ("campaigns", "pulses", "reported_vs_actual")] == [0, 0, 0]
