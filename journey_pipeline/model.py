"""What journey.yaml may say, as typed values. Reading the file is settings'; meaning is each room's."""

import re
from datetime import date, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Severity = Literal["critical", "warning", "info"]
RiskKind = Literal["paid", "due", "leak", "expected"]

_DURATION = re.compile(r"^(\d+)(m|h|d|bd)$|^0$")


def _currency(text: str) -> str:
    if not re.fullmatch(r"[A-Z]{3}", text):
        msg = f"{text!r} is not a currency; allowed: three capital letters, like USD"
        raise ValueError(msg)
    return text


def _duration(text: str) -> str:
    if not _DURATION.match(text):
        msg = f"{text!r} is not a duration; allowed: 15m, 1h, 3d, 2bd"
        raise ValueError(msg)
    return text


def _ref(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9_]+:.+", text):
        msg = f"{text!r} is not a reference; allowed: platform:id, like stripe:price_1"
        raise ValueError(msg)
    return text


def _zone(text: str) -> str:
    if text not in available_timezones():
        msg = f"{text!r} is not a time zone; allowed: names like America/New_York"
        raise ValueError(msg)
    return text


def _variable(text: str) -> str:
    """What was written is not repeated: it may be the secret itself."""
    if not re.fullmatch(r"[A-Z][A-Z0-9_]*", text):
        msg = "is not the name of an environment variable; allowed: one like SALES_SLACK_URL. An address is a secret, and stays out of this file"
        raise ValueError(msg)
    return text


def _web(text: str) -> str:
    if not re.match(r"https?://\S+$", text):
        msg = f"{text!r} is no address of a page; allowed: https://…"
        raise ValueError(msg)
    return text


Currency = Annotated[str, AfterValidator(_currency)]
Duration = Annotated[str, AfterValidator(_duration)]
Ref = Annotated[str, AfterValidator(_ref)]
Variable = Annotated[str, AfterValidator(_variable)]


def as_timedelta(duration: str) -> timedelta:
    """Elapsed time of `15m`, `1h`, `3d`; business days (`2bd`) have none of their own and are refused.

    Raises:
        ValueError: for anything else.
    """
    match = _DURATION.match(duration)
    if not match or duration.endswith("bd"):
        msg = f"{duration!r} is not an elapsed duration"
        raise ValueError(msg)
    if duration == "0":
        return timedelta()
    unit = {"m": "minutes", "h": "hours", "d": "days"}[match[2]]
    return timedelta(**{unit: int(match[1])})


class Strict(BaseModel):
    """A part of journey.yaml: unknown names are mistakes, values are fixed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Business(Strict):
    name: str
    timezone: Annotated[str, AfterValidator(_zone)]
    currency: Currency
    country: Annotated[str, Field(pattern="^[A-Z]{2}$")] | None = None
    """ISO 3166; where phone numbers without a country code are from. None: such numbers tie nobody."""

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


class Price(Strict):
    amount_minor: Annotated[int, Field(ge=0)]
    currency: Currency


class Offer(Strict):
    id: Annotated[str, Field(pattern="^[a-z0-9_]+$")]
    name: str
    bought_as: tuple[Ref, ...] = ()
    grants: tuple[Ref, ...] = ()
    welcome: tuple[Ref, ...] = ()
    cart: tuple[Ref, ...] = ()
    sales: tuple[Ref, ...] = ()
    price: Price | None = None
    access_days: Annotated[int, Field(gt=0)] | None = None
    opens_on: date | None = None
    closes_on: date | None = None
    repeatable: bool = False


class Thresholds(Strict):
    """Constants that people argue about; why each is what it is: docs/definitions.md, Durations and constants."""

    dunning: Duration = "7d"
    card_settles: Duration = "24h"
    debit_settles: Duration = "14d"
    capture_by: Duration = "5d"
    twin_window: Duration = "24h"
    look_back: Duration = "14d"
    identity_sure: Annotated[float, Field(ge=0, le=1)] = 0.80
    identity_act: Annotated[float, Field(ge=0, le=1)] = 0.95
    exact_tolerance: Annotated[float, Field(ge=0, le=1)] = 0.005
    repairs_ceiling: Annotated[int, Field(gt=0)] = 50
    repairs_share: Annotated[float, Field(gt=0, le=1)] = 0.05
    incident_repairs: Annotated[int, Field(gt=0)] = 10


class Caps(Strict):
    """How many people a key may tie before it is taken for a shared one; why that many: docs/identity.md, Caps."""

    people_per_phone: Annotated[int, Field(gt=0)] = 4
    """Distinct e-mails that one phone may tie: a family, not an office."""
    names_per_email: Annotated[int, Field(gt=0)] = 4
    """Distinct names that one address may tie: spellings, not colleagues."""
    people_per_id: Annotated[int, Field(gt=0)] = 8
    """Distinct e-mails, or names, that one platform id may tie: a customer, not the shop's one guest account."""
    people_per_company_name: Annotated[int, Field(gt=0)] = 1
    """People with an e-mail, or a phone, of their own that one name at one company may tie: more are namesakes."""
    emails_per_person: Annotated[int, Field(gt=0)] = 12
    """Addresses of one person; where ties make more, the weakest are cut until no piece has more."""


class KeyRule(Strict):
    """What the business knows of some keys (`type:value`, with * and ?) that the keys themselves don't tell."""

    key: Annotated[str, Field(pattern="^[a-z0-9_]+:.+$")]
    platform: str | None = None
    """Only where this platform says so; None: whoever says so."""
    why: Annotated[str, Field(min_length=1)]


class IdentityRules(Strict):
    """How records are tied into people; what each part does: docs/identity.md."""

    caps: Caps = Caps()
    include: tuple[KeyRule, ...] = ()
    """Keys that tie however many share them."""
    exclude: tuple[KeyRule, ...] = ()
    """Keys that tie nobody."""
    probable: Literal["on", "off"] = "on"
    link: Annotated[float, Field(gt=0, le=1)] = 0.95
    """From this probability on, two people without a common key are one; as measured: docs/accuracy.md."""
    suggest: Annotated[float, Field(gt=0, le=1)] = 0.30
    """From this probability on, somebody should look at them."""
    decisions: str | None = None
    """A CSV file beside journey.yaml; None: identity_decisions.csv, if it is there."""


class Report(Strict):
    """What a reported figure claims to be: `exact` (books), `sampled` (analytics), `claimed` (ads)."""

    claim: Literal["exact", "sampled", "claimed"]
    metric: Literal["orders", "new_orders", "gross_revenue", "net_revenue", "new_revenue", "refunds_revenue", "leads"]
    """Which of our figures it should be; the new ones leave renewals out, revenue is in the figure's own currency."""


class Watch(Strict):
    """What the hourly run before a launch reads."""

    platforms: tuple[str, ...] = ()
    offers: tuple[str, ...] = ()
    """All platforms that sell, grant or write about them."""


class Publish(Strict):
    to: Literal[
        "duckdb", "postgres", "parquet", "athena", "bigquery", "clickhouse", "databricks", "dremio", "ducklake",
        "fabric", "filesystem", "motherduck", "mssql", "redshift", "snowflake", "sqlalchemy", "synapse",
    ] = "duckdb"  # fmt: skip
    """Where BI tools read, beside the DuckDB file that is always written; what each can promise: docs/bi.md."""
    pii: Literal["clear", "masked", "none"] = "clear"
    """Personal data as it is, as keyed hashes, or left out."""


class Rule(Strict):
    """One invariant, ours or the user's: when A, then B, within t, unless C."""

    name: Annotated[str, Field(pattern="^[a-z0-9_]+$")]
    on: str
    when: str
    then: str
    claim: str = ""
    since: str | None = None
    within: Duration | None = None
    unless: dict[str, str] = Field(default_factory=dict)
    """Excuses: reason -> expression, tried in the order written."""
    needs: tuple[str, ...] | None = None
    """Record kinds; `(kind)` in brackets is needed only by rows that refer to it. None: from the columns named."""
    tells: tuple[str, ...] = ()
    """`kind.column`s that the platforms must tell of somebody: where they never do, nobody can say who lacks it."""
    severity: Severity = "warning"
    owner: str = "data"
    at_risk: str | None = None
    """Integer expression in minor units."""
    at_risk_kind: RiskKind | None = None
    refs: str | None = None
    """Ours only: what the money stands on (`payment`, `sale`, `subscription`, `access`, `person`, `product`)."""
    causes: dict[str, str] = Field(default_factory=dict)
    """Ours only: likely cause -> expression over the row, tried in order after never_worked and outage."""
    fix: str = ""
    core: bool = False
    never_unknown: bool = False
    """Ours only: a rule about sources themselves is judged whatever their state."""
    judges_identity: bool = False
    """Ours only: a rule about who is who itself is judged whatever twin is suggested."""
    every_source: bool = False
    """Ours only: what two platforms tell is compared, so that all who say a kind are needed, not the offer's alone."""
    source: str = ""
    evidence: tuple[str, ...] = ()
    """Ours only: the columns whose values are the evidence."""
    records: dict[str, str] = Field(default_factory=dict)
    """Ours only: kind -> which of the subject's records are the evidence; none there is a fact too."""


class Settings(Strict):
    """One whole journey.yaml, already checked."""

    business: Business
    platforms: dict[Annotated[str, Field(pattern="^[a-z0-9_]+$")], dict[str, Any]]
    offers: tuple[Offer, ...] = ()
    deadlines: dict[str, Duration] = Field(default_factory=dict)
    owners: dict[str, str] = Field(default_factory=dict)
    test_buyers: tuple[str, ...] = ()
    waivers: str | None = None
    customer_stages: tuple[str, ...] = ("customer", "client", "member", "evangelist")
    ignore_products: tuple[str, ...] = ()
    thresholds: Thresholds = Thresholds()
    identity: IdentityRules = IdentityRules()
    off: dict[str, str] = Field(default_factory=dict)
    reports: dict[str, Report] = Field(default_factory=dict)
    invariants: tuple[Rule, ...] = ()
    publish: Publish = Publish()
    watch: Watch = Watch()
    notify: dict[str, tuple[Variable, ...]] = Field(default_factory=dict)
    """Owner (`*`: all others) -> names of environment variables that hold Apprise addresses."""
    page_url: Annotated[str, AfterValidator(_web)] | None = None
    """Where others can read report.html; messages link to it."""
