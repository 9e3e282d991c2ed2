"""Which sources a row needs before it may be judged, and until when they tell (docs/definitions.md, Sources of a row).

Not here: how fresh a source is; that is the lake's verdict, read from `source_health`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import polars as pl

from journey_pipeline.model import Offer, Rule
from journey_pipeline.registry import KINDS, TEXT, TIME

Says = Mapping[str, Sequence[tuple[str, str]]]

# When a row refers to a kind that stands in brackets under `needs`.
REFERS: Mapping[tuple[str, str], str] = {
    ("buyer_journeys", "subscriptions"): "subscription_count > 0",
    ("buyer_journeys", "payments"): "payment_count > 0",
    ("buyer_journeys", "deals"): "deal_count > 0",
    ("buyer_journeys", "agreements"): "proposed_at is not null or signed_at is not null",
    ("buyer_journeys", "bookings"): "booked_at is not null",
    ("buyer_journeys", "leads"): "submission_count > 0",
    ("buyer_journeys", "contacts"): "contact_count > 0",
    ("buyer_journeys", "tickets"): "ticket_count > 0",
    ("buyer_journeys", "touchpoints"): "first_touch_at is not null",
    ("people", "payments"): "first_paid_at is not null",
    ("people", "leads"): "first_lead_at is not null",
    ("people", "bookings"): "first_booked_at is not null",
    ("people", "contacts"): "crm_at is not null or crm_deleted_at is not null",
    ("people", "access"): "has_comp_access or last_use_at is not null",
    ("people", "consents"): "opted_out_at is not null",
    ("payments", "subscriptions"): "subscription_ref is not null",
    ("payments", "access"): "is_granted_to_other",
    ("access", "payments"): "paid_by_ref is not null",
    ("access", "subscriptions"): "paid_by_ref is not null",
    ("subscriptions", "payments"): "paid_count > 0",
    ("tickets", "payments"): "is_payer",
    ("agreements", "messages"): "sent_at is not null",
    ("bookings", "agreements"): "starts_at is not null",
    ("pulses", "leads"): "kind = 'leads'",
    ("pulses", "payments"): "kind = 'payments'",
    ("pulses", "bookings"): "kind = 'bookings'",
    ("reported_vs_actual", "payments"): "kind = 'payments'",
    ("reported_vs_actual", "leads"): "kind = 'leads'",
    # Whoever answers a survey may be answered in any of the ways that are connected.
    ("surveys", "tickets"): "person_id is not null",
    ("surveys", "bookings"): "person_id is not null",
}


def _told(columns: str, *by: str) -> dict[str, tuple[str, ...]]:
    return dict.fromkeys(columns.split(), by)


# The kinds behind the columns that are worked out from other records; any other column of a kind is told by that kind.
_BEHIND: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "people": {
        **_told("crm_at crm_contact_count crm_platform_contact_count second_contact_at crm_deleted_at", "contacts"),
        **_told("crm_owner crm_source crm_campaign crm_stage is_crm_customer crm_customer_at", "contacts"),
        **_told("lifetime_minor lifetime_other first_paid_at has_net_payment", "payments"),
        **_told("first_lead_at lead_source lead_campaign", "leads"),
        **_told("first_answer_at", "messages", "leads"),
        **_told("expected_minor", "leads", "payments"),
        **_told("first_booked_at", "bookings"),
        **_told("has_agreed", "agreements", "deals"),
        **_told("has_comp_access last_use_at", "access"),
        **_told("person_subscription_count person_cancelling_count person_subscription_minor", "subscriptions"),
        **_told("opted_out_at", "consents"),
        **_told("mailed_after_optout_at", "messages", "consents"),
        **_told("consent_platform_count stale_opt_in_count", "consents"),
        **_told("bounced_at", "messages"),
        **_told("reached_at", "messages", "tickets"),
        **_told("account_count second_account_at", "access"),
    },
    "buyer_journeys": {
        **_told("first_touch_at first_channel last_channel", "touchpoints"),
        **_told("lead_at submission_count", "leads"),
        **_told("crm_at contact_count is_person_deleted", "contacts"),
        **_told("booked_at met_at", "bookings"),
        **_told("proposed_at signed_at", "agreements"),
        **_told("won_at deal_count has_matching_deal deal_lost_at", "deals"),
        **_told("agreed_minor agreed_currency", "(agreements)", "(deals)"),
        **_told("paid_at refunded_at renewed_at paid_minor refunded_minor net_minor", "payments"),
        **_told("currency has_mixed_currency payment_count test_paid_at pending_method", "payments"),
        **_told("money_at entitled_by entitled_from_at is_paying access_due_at", "payments", "(subscriptions)"),
        **_told("entitlement_ended_at entitlement_ended_by", "payments", "(subscriptions)"),
        **_told("subscription_count live_subscription_count cancelling_subscription_count", "subscriptions"),
        **_told("second_live_at extra_subscription_minor churned_at", "subscriptions"),
        **_told("access_at first_used_at access_ended_at grants_open opened_at open_basis access_lost_at", "access"),
        **_told("grant_missing_at is_granted_to_other is_granted_by_other is_use_tracked", "access"),
        **_told("has_account_on_target has_unmapped_access other_person_access_ref", "access"),
        **_told("unowed_count is_charged_since_loss has_other_offer_access", "access", "payments", "(subscriptions)"),
        **_told("welcomed_at cart_mail_at sales_mail_at", "messages"),
        **_told("notified_at", "notifications"),
        **_told("ticket_at ticket_resolved_at ticket_count", "tickets"),
    },
    "payments": {
        **_told("is_granted_to_other access_gap_at", "access"),
        **_told("subscription_ended_at subscription_instalments is_arrears", "(subscriptions)"),
        **_told("notified_at dispute_notified_at", "notifications"),
        **_told("chased_at", "messages"),
    },
    "subscriptions": {
        **_told("paid_count last_paid_at paid_until_at last_refunded_at", "payments"),
        **_told("seats_used seats_over_at", "access"),
    },
    "tickets": {
        **_told("is_payer payer_net_minor currency", "payments"),
        **_told("has_all_access", "access", "payments"),
        **_told("has_paid refund_at", "payments"),
        **_told("has_used_since", "access"),
    },
    "surveys": {
        **_told("has_bought payer_net_minor currency", "payments"),
        **_told("has_comp_access", "access"),
        **_told("followed_up_at", "messages", "(tickets)", "(bookings)"),
    },
    "contact_keys": _told("key retired_at is_survivor_named", "contacts"),
    "contacts": _told("is_form_source has_lead", "leads"),
    "bookings": {
        **_told("next_step_at", "bookings", "deals", "payments", "(agreements)"),
        **_told("paid_before_at", "payments"),
        **_told("followed_up_at", "messages", "bookings"),
    },
    "agreements": {
        **_told("followed_up_at", "(messages)"),
        **_told("paid_after_at", "payments"),
    },
    "campaigns": {
        **_told("clicks_3d cost_3d_minor live_since_at", "spend"),
        **_told("touches_3d has_renamed_touches is_source_untagged", "touchpoints"),
        **_told("leads_3d is_source_silent", "leads"),
        **_told("orders_3d", "payments", "touchpoints"),
        **_told("expected_leads_3d", "leads", "touchpoints"),
    },
    "pulses": _told("last_at usual_per_day silent_days silent_minor", "(leads)", "(payments)", "(bookings)"),
    "reported_vs_actual": {
        **_told("claim value_reported", "reported"),
        **_told("value_computed difference ratio usual_ratio", "reported", "(payments)", "(leads)"),
    },
    "products": {**_told("is_in_use", "payments", "access"), **_told("sold_30d_minor", "payments")},
}


class Need(NamedTuple):
    """What is known for one offer: the first source that isn't fresh, the settled horizon, where history begins."""

    reason: str | None = None
    until: datetime | None = None
    history_from: datetime | None = None


def behind(columns: Sequence[str], table: str) -> tuple[str, ...]:
    """The record kinds that tell the named columns of a table, as `needs` writes them."""
    own = (table,) if table in KINDS else ()
    kinds = [kind for column in columns for kind in _BEHIND.get(table, {}).get(column, own)]
    firm = {kind for kind in kinds if not kind.startswith("(")}
    return tuple(dict.fromkeys(kind for kind in kinds if kind.strip("()") not in firm or kind in firm))


class SourceNeeds:
    """What each kind asks of the connected sources, offer by offer."""

    def __init__(self, health: pl.DataFrame, says: Says, offers: Sequence[Offer]) -> None:
        self._health: dict[tuple[str, str], dict[str, Any]] = {
            (row["platform"], row["resource"]): row for row in health.iter_rows(named=True)
        }
        self._says, self._offers = says, {offer.id: offer for offer in offers}

    @property
    def offers(self) -> tuple[str, ...]:
        return tuple(self._offers)

    @property
    def connected(self) -> frozenset[str]:
        """The platforms that say anything."""
        return frozenset(platform for sources in self._says.values() for platform, _ in sources)

    def is_covered(self, kind: str) -> bool:
        """Whether any connected platform says the kind."""
        return bool(self._says.get(kind))

    def sources(self, kind: str, offer_id: str | None = None) -> list[tuple[str, str]]:
        """The (platform, resource) that must be known before anything is said of the kind, for one offer."""
        everywhere = sorted(self._says.get(kind, ()))
        offer = self._offers.get(offer_id or "")
        if offer is None or kind not in ("access", "payments", "subscriptions"):
            return everywhere
        refs = offer.grants if kind == "access" else offer.bought_as
        platforms = {ref.split(":")[0] for ref in refs} & self.connected
        return [source for source in everywhere if source[0] in platforms] if platforms else everywhere

    def platforms(self, kind: str, offer_id: str | None = None) -> str:
        """The names of the platforms that should say the kind, for a sentence."""
        names = list(dict.fromkeys(platform for platform, _ in self.sources(kind, offer_id)))
        return " and ".join(names) or "any platform"

    def need(self, kinds: Sequence[str], showing: Sequence[str], offer_id: str | None) -> Need:
        """What `kinds` ask for one offer; the kinds of `showing` are those that must show B."""
        reason: str | None = None
        until: list[datetime] = []
        history: list[datetime] = []
        for kind in kinds:
            for platform, resource in self.sources(kind, offer_id):
                health = self._health.get((platform, resource), {})
                if health.get("status") != "fresh":
                    reason = reason or f"source:{platform}.{resource}"
                if health.get("complete_until_at"):
                    until.append(health["complete_until_at"])
                if kind in showing and health.get("history_from_at"):
                    history.append(health["history_from_at"])
        return Need(reason, min(until, default=None), max(history, default=None))

    def by_offer(self, kinds: Sequence[str], showing: Sequence[str]) -> dict[str | None, Need]:
        """`need` for every offer, and under None for rows without one."""
        return {offer_id: self.need(kinds, showing, offer_id) for offer_id in (None, *self._offers)}

    def state(self, reason: str) -> str:
        """A sentence about the source that a reason `source:<platform>.<resource>` names."""
        platform, _, resource = reason.removeprefix("source:").partition(".")
        health = self._health.get((platform, resource))
        if health is None:
            return f"{platform}.{resource} was never loaded"
        since = health["complete_until_at"]
        return f"{platform}.{resource} is {health['status']}" + (f" since {since:%Y-%m-%d %H:%M} UTC" if since else "")


class RowNeeds(NamedTuple):
    """What a rule's rows need, as expressions over the row; None where no row has any.

    `reason`: null where all is known. `until`: the horizon. `history_from`: the start of history.
    """

    reason: pl.Expr | None
    until: pl.Expr | None
    history_from: pl.Expr | None


def of_rows(
    rule: Rule, needs: Sequence[str], shown_by: Sequence[str], sources: SourceNeeds, *, has_offer: bool
) -> RowNeeds:
    """What the sources of `needs` say of each row; the kinds of `shown_by` are those that must show B."""
    firm = [kind for kind in needs if not kind.startswith("(")]
    parts: list[tuple[pl.Expr | None, dict[str | None, Need]]] = [(None, sources.by_offer(firm, shown_by))]
    parts += [
        (pl.sql_expr(REFERS[rule.on, kind.strip("()")]).fill_null(value=False),
         sources.by_offer([kind.strip("()")], shown_by))
        for kind in needs if kind.startswith("(") and sources.is_covered(kind.strip("()"))
    ]  # fmt: skip

    def each(field: str, dtype: pl.DataType) -> list[pl.Expr]:
        """The values of the firm kinds, and of those optional ones that could change what these say."""
        told = [(on, {offer: getattr(need, field) for offer, need in by.items()}) for on, by in parts]
        firm_ones = told[0][1]
        changing = [(on, v) for on, v in told if _may_change(field, v, firm_ones if on is not None else {})]
        values = [(on, per_offer(values, dtype, has_offer)) for on, values in changing]
        return [value if on is None else pl.when(on).then(value) for on, value in values]

    reasons, until, history = each("reason", TEXT), each("until", TIME), each("history_from", TIME)
    return RowNeeds(
        pl.coalesce(reasons) if reasons else None,
        pl.min_horizontal(until) if until else None,
        pl.max_horizontal(history) if history else None,
    )


def _may_change(field: str, values: Mapping[str | None, Any], firm: Mapping[str | None, Any]) -> bool:
    """Whether a kind says anything of any offer, beyond what the firm ones say: mostly all sources are equally well."""
    return any(
        value is not None and (field != "until" or firm.get(offer) is None or value < firm[offer])
        for offer, value in values.items()
    )


def per_offer(values: Mapping[str | None, Any], dtype: pl.DataType, has_offer: bool) -> pl.Expr:
    """A value that hangs on the row's offer; that under None where the row has none, or one that isn't listed."""
    other = values[None]
    special = {offer: value for offer, value in values.items() if value != other}
    if not special or not has_offer:
        return pl.lit(other, dtype=dtype)
    return pl.col("offer_id").replace_strict(
        list(special), list(special.values()), default=pl.lit(other, dtype=dtype), return_dtype=dtype
    )
