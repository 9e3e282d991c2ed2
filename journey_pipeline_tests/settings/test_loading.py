"""journey.yaml: the whole example loads; every kind of mistake is named, on its line, all at once."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from journey_pipeline.errors import SettingsError, SourceError
from journey_pipeline.platforms.base import Options, Platform
from journey_pipeline.settings import load, secrets, sources, waivers

# A whole settings file, as a user writes it.
EXAMPLE = """\
business: {name: Northwind Academy, timezone: America/New_York, currency: USD}
platforms:                 # which modules run; each takes its own options
  stripe: {}
  hubspot: {}
  mailchimp: {}
  teachable: {school: northwind}
  exports:                 # any platform, from files
    type: files
    tables: {invoices: inbox/invoices.csv, accounts: inbox/accounts.xlsx}
    records: {payments: sql/exports/payments.sql}     # SQL over those tables -> a kind's columns
offers:
  - id: bootcamp
    name: Data Bootcamp
    bought_as: [stripe:price_1]
    grants: [teachable:course_9]
    welcome: [mailchimp:tpl_4]
    price: {amount_minor: 49900, currency: USD}
    # optional: access_days, opens_on, closes_on, repeatable, cart and sales (message templates)
deadlines: {paid_implies_access: 1h}        # overrides of the catalogue's grace
owners: {delivery: delivery@northwind.example, sales: sales@northwind.example}
test_buyers: ["*@northwind.example", "test+*@*"]
waivers: waivers.csv                        # finding or subject, reason, who, until
# optional: customer_stages, ignore_products, thresholds, off (invariant: reason), reports (figure: claim, metric)
invariants:                                 # the user's own, beside the catalogue
  - name: vip_has_owner
    on: people
    when: "lifetime_minor > 500000"
    then: "crm_owner is not null"
    owner: sales                            # also: claim, since, within, unless, needs, severity, at_risk, at_risk_kind, fix
publish: {to: duckdb, pii: clear}
"""

# Line 3 is where each mistake below is put, unless it brings its own lines.
GOOD = """\
business: {name: Northwind, timezone: UTC, currency: USD}
platforms: {stripe: {}, teachable: {}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sql/exports").mkdir(parents=True)
    (tmp_path / "sql/exports/payments.sql").write_text(
        "select invoice_id as record_id from invoices left join accounts using (account_id)"
    )
    (tmp_path / "waivers.csv").write_text("finding,reason,who,until\n")
    return tmp_path


def mistakes(folder: Path, text: str) -> list[str]:
    (folder / "journey.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError) as refused:
        load(folder / "journey.yaml")
    return refused.value.mistakes


def test_a_whole_file_loads(folder: Path) -> None:
    (folder / "journey.yaml").write_text(EXAMPLE, encoding="utf-8")
    settings = load(folder / "journey.yaml")
    assert list(settings.platforms) == ["stripe", "hubspot", "mailchimp", "teachable", "exports"]
    assert settings.offers[0].grants == ("teachable:course_9",)
    assert settings.offers[0].price is not None
    assert settings.offers[0].price.amount_minor == 49900
    assert settings.invariants[0].on == "people"  # in YAML 1.1 the key `on` would be true
    assert settings.test_buyers == ("*@northwind.example", "test+*@*")
    assert settings.publish.pii == "clear"

    by_name = {source.name: source for source in sources(settings, folder)}
    assert list(by_name) == ["stripe", "hubspot", "mailchimp", "teachable", "exports"]
    assert by_name["teachable"].options.school == "northwind"
    exports = by_name["exports"].platform
    assert [resource.name for resource in exports.resources] == ["invoices", "accounts"]
    assert dict(exports.says) == {"payments": ("invoices", "accounts")}


OFFER = "offers:\n  - {id: a, name: A, bought_as: [stripe:p]}\n"
RULE = "invariants:\n  - name: vip\n    on: people\n    when: lifetime_minor > 5\n"

MISTAKES = {
    "an unknown name": ("wavers: x.csv\n", ("3: wavers: no such name; did you mean waivers? allowed: business, customer_stages,"
                        " deadlines, identity, ignore_products, invariants, notify, off, offers, owners, page_url,"
                        " platforms, publish, reports, test_buyers, thresholds, waivers")),
    "a rule about keys without a reason": ("identity: {exclude: [{key: 'email:info@*'}]}\n",
                                           "3: identity.exclude[0].why: is missing; needed here: key, why"),
    "a key without its type": ("identity: {include: [{key: info, why: x}]}\n",
                               "3: identity.include[0].key: 'info' can't stand here; allowed: type:value, like email:info@*"),
    "a cap of nobody": ("identity: {caps: {people_per_phone: 0}}\n",
                        "3: identity.caps.people_per_phone: 0 is out of bounds; allowed: more than 0"),
    "suggested later than linked": ("identity: {link: 0.2, suggest: 0.5}\n",
                                    "3: identity.suggest: suggest, 0.5, is above link, 0.2"),
    "decisions that are not there": ("identity: {decisions: gone.csv}\n",
                                     "3: identity.decisions: no file 'gone.csv' beside the settings file; make it, its first line: a,b"),
    "a missing name": ("offers:\n  - id: a\n", "4: offers[0].name: is missing; needed here: id, name"),
    "text that is a number": ("owners: {delivery: 12}\n", "3: owners.delivery: is 12, must be text; put it in quotes"),
    "a list that is text": ("test_buyers: x\n", "3: test_buyers: is 'x', must be a list, like [one, two]"),
    "a mapping that is a list": ("off: [x]\n", "3: off: is a list, must be names with values, like {name: value}"),
    "an offer that is text": ("offers: [x]\n", "3: offers[0]: is 'x', must be names with values, like {name: value}"),
    "nothing where a list should be": ("offers:\n", "3: offers: is empty, must be a list, like [one, two]"),
    "a number below its limit": (OFFER.replace("}\n", ", access_days: 0}\n"),
                                 "4: offers[0].access_days: 0 is out of bounds; allowed: more than 0"),
    "a number above its limit": ("thresholds: {identity_sure: 1.5}\n",
                                 "3: thresholds.identity_sure: 1.5 is out of bounds; allowed: at most 1"),
    "a fraction": (OFFER.replace("}\n", ", access_days: 1.5}\n"), "4: offers[0].access_days: is 1.5, must be a whole number"),
    "no truth": (OFFER.replace("}\n", ", repeatable: maybe}\n"), "4: offers[0].repeatable: is 'maybe', must be true or false"),
    "no day": (OFFER.replace("}\n", ", opens_on: May}\n"), "4: offers[0].opens_on: is 'May', must be a day, like 2026-05-31"),
    "a word that is not in the list": ("publish: {pii: mask}\n",
                                       "3: publish.pii: 'mask' is not known; did you mean masked? allowed: clear, masked, none"),
    "a word inside a mapping": ("reports: {revenue: {claim: exat, metric: net_revenue}}\n",
                                "3: reports.revenue.claim: 'exat' is not known; did you mean exact? allowed: claimed, exact, sampled"),
    "an id of other letters": ("offers:\n  - {id: My Offer, name: A}\n",
                               "4: offers[0].id: 'My Offer' can't stand here; allowed: small letters, digits and _"),
    "no currency": (OFFER.replace("}\n", ", price: {amount_minor: 1, currency: usd}}\n"),
                    "4: offers[0].price.currency: 'usd' is not a currency; allowed: three capital letters, like USD"),
    "no duration": ("deadlines: {paid_implies_access: 1 week}\n",
                    "3: deadlines.paid_implies_access: '1 week' is not a duration; allowed: 15m, 1h, 3d, 2bd"),
    "no reference": ("offers:\n  - {id: a, name: A, grants: [course_9]}\n",
                     "4: offers[0].grants[0]: 'course_9' is not a reference; allowed: platform:id, like stripe:price_1"),
    "a platform not listed": ("offers:\n  - {id: a, name: A, grants: [teachble:9]}\n",
                              ("4: offers[0].grants[0]: no platform 'teachble' under platforms; did you mean teachable?"
                              " allowed: stripe, teachable")),
    "an offer id twice": (OFFER + "  - {id: a, name: B}\n", "5: offers[1].id: 'a' is the id of offers[0] too; choose another"),
    "a product of two offers": (OFFER + "  - id: b\n    name: B\n    bought_as:\n      - stripe:q\n      - stripe:p\n",
                                "9: offers[1].bought_as[1]: 'stripe:p' buys offers[0] too; a product buys one offer"),
    "an offer that closes first": (OFFER.replace("}\n", ", opens_on: 2026-05-02, closes_on: 2026-05-01}\n"),
                                   "4: offers[0].closes_on: 2026-05-01 is before opens_on, 2026-05-02"),
    "a threshold in business days": ("thresholds: {dunning: 5bd}\n",
                                     "3: thresholds.dunning: '5bd' counts business days; allowed here: 15m, 1h, 3d"),
    "no waivers file": ("waivers: gone.csv\n", ("3: waivers: no file 'gone.csv' beside the settings file; make it, its first"
                        " line: finding,reason,who,until")),
    "a rule twice": (RULE + "    then: crm_owner is not null\n  - {name: vip, on: people, when: email_count > 1, then: is_test}\n",
                     "8: invariants[1].name: 'vip' is the name of invariants[0] too; choose another"),
    "a rule of the catalogue": (RULE.replace("vip", "paid_implies_access") + "    then: crm_owner is not null\n",
                                ("4: invariants[0].name: 'paid_implies_access' is in the catalogue; choose another, or change"
                                " its deadline under deadlines")),
    "a column that is none": (RULE + "    then: crm_ownr is not null\n",
                              "7: invariants[0].then: people has no column 'crm_ownr'; did you mean crm_owner?"),
    "a table that is none": (RULE.replace("people", "access_log") + "    then: crm_owner is not null\n",
                             "5: invariants[0].on: no table 'access_log'; allowed: people, buyer_journeys,"),
    "an excuse that can't be read": (RULE + "    then: crm_owner is not null\n    unless:\n      old: lifetime_minor >\n",
                                     "9: invariants[0].unless.old: can't read 'lifetime_minor >' as one SQL expression"),
    "a rule without then": (RULE, "4: invariants[0].then: is missing; needed here: name, on, when, then"),
    "a condition that is a truth": (RULE + "    then: true\n", "7: invariants[0].then: is true, must be text; put it in quotes"),
    "a deadline of no rule": ("deadlines:\n  paid_implies_acess: 1h\n",
                              "4: deadlines.paid_implies_acess: no invariant 'paid_implies_acess'; did you mean paid_implies_access?"),
    "a rule that is off and is none": ("off:\n  paid_implies_acess: we know\n",
                                       "4: off.paid_implies_acess: no invariant 'paid_implies_acess'; did you mean paid_implies_access?"),
    "a deadline of a rule without one": ("deadlines: {source_is_fresh: 1h}\n",
                                         ("3: deadlines.source_is_fresh: source_is_fresh has no deadline: it is judged at"
                                         " once; leave it out")),
    "an owner of nothing": ("owners: {delivry: d@x.org}\n",
                            "3: owners.delivry: no invariant is owned by 'delivry'; did you mean delivery?"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_named_on_its_line(folder: Path, case: str) -> None:
    text, sentence = MISTAKES[case]
    (found,) = mistakes(folder, GOOD + text)
    assert found.startswith(sentence)


FIRST_PLATFORMS = (
    "activecampaign, calcom, calendly, circle, database, discourse, docusign, files, freshdesk, ga4, gohighlevel, google_ads,"
    " google_sheets, help_scout, hubspot, intercom, kajabi, kit, klaviyo, learndash, …"
)
TYPED = "one of another name gives its type, like type: files"
PLATFORM_MISTAKES = {
    "no such platform": ("  stripes: {}\n", f"3: platforms.stripes: no platform 'stripes'; did you mean stripe? allowed: {FIRST_PLATFORMS}; {TYPED}"),
    "no such type": ("  exports:\n    type: file\n", "4: platforms.exports.type: no platform 'file'; did you mean files? allowed:"),
    "a name of its own": ("  stripe_eu: {type: stripe}\n",
                          "3: platforms.stripe_eu: stripe runs under its own name: its records name each other by it; call it stripe"),
    "a name of other letters": ("  My-Files: {type: files, tables: {a: a.csv}, records: {leads: a}}\n",
                                "3: platforms.My-Files: 'My-Files' can't stand here; allowed: small letters, digits and _"),
    "an unknown option": ("  teachable:\n    scool: x\n",
                          "4: platforms.teachable.scool: no such name; did you mean school? allowed: base_url,"),
    "a secret": ("  stripe: {api_key: sk_live_1}\n",
                 "3: platforms.stripe.api_key: secrets never stand in this file; set in the environment: STRIPE_API_KEY"),
    "no options": ("  stripe:\n", "3: platforms.stripe: is empty, must be names with values, like {name: value}"),
    "no tables": ("  x:\n    type: files\n    records: {leads: a}\n",
                  "3: platforms.x.tables: is missing; needed here: tables, records"),
    "empty tables": ("  x:\n    type: files\n    tables: {}\n    records: {leads: a}\n",
                     "5: platforms.x.tables: is empty; at least one is needed"),
    "no such kind": ("  x:\n    type: files\n    tables: {a: a.csv}\n    records:\n      lead: a\n",
                     "7: platforms.x.records.lead: no kind of record 'lead'; did you mean leads? allowed: access,"),
    "no such SQL file": ("  x:\n    type: files\n    tables: {a: a.csv}\n    records:\n      leads: sql/a.sql\n",
                         "7: platforms.x.records.leads: no file 'sql/a.sql' beside the settings file"),
    "SQL over another table": ("  x:\n    type: files\n    tables: {invoices: a.csv}\n    records: {payments: sql/exports/payments.sql}\n",
                               "6: platforms.x.records.payments: sql/exports/payments.sql reads 'accounts'; allowed: invoices"),
}  # fmt: skip


@pytest.mark.parametrize("case", PLATFORM_MISTAKES)
def test_a_platforms_mistake_is_named_on_its_line(folder: Path, case: str) -> None:
    text, sentence = PLATFORM_MISTAKES[case]
    (found,) = mistakes(folder, "business: {name: N, timezone: UTC, currency: USD}\nplatforms:\n" + text)
    assert found.startswith(sentence)
    assert "sk_live_1" not in found


BUSINESS_MISTAKES = {
    "name: N, timezone: Mars, currency: USD": "1: business.timezone: 'Mars' is not a time zone; allowed: names like America/New_York",
    "name: N, timezone: UTC, currency: USD, country: usa":
        "1: business.country: 'usa' can't stand here; allowed: two capital letters, like US",
    "name: N, timezone: UTC": "1: business.currency: is missing; needed here: name, timezone, currency",
}  # fmt: skip


@pytest.mark.parametrize("business", BUSINESS_MISTAKES)
def test_a_mistake_about_the_business(folder: Path, business: str) -> None:
    assert mistakes(folder, f"business: {{{business}}}\nplatforms: {{}}\n") == [BUSINESS_MISTAKES[business]]


def test_all_mistakes_at_once_in_the_files_order(folder: Path) -> None:
    text = (
        "platforms: {strip: {}}\n"
        "publish: {pii: some}\n"
        "business: {name: N, timezone: UTC, currency: usd}\n"
        "publish: {to: duckdb}\n"
        "offers:\n"
        "  - {id: a}\n"
        "  - {id: b, name: B, grants: [x:1]}\n"
    )
    (folder / "journey.yaml").write_text(text)
    with pytest.raises(SettingsError) as refused:
        load(folder / "journey.yaml")
    assert str(refused.value) == (
        "journey.yaml: 6 mistakes, nothing was run\n"
        f"  1: platforms.strip: no platform 'strip'; did you mean stripe? allowed: {FIRST_PLATFORMS}; {TYPED}\n"
        "  2: publish.pii: 'some' is not known; allowed: clear, masked, none\n"
        "  2: publish: is given twice, on lines 2 and 4; keep one\n"
        "  3: business.currency: 'usd' is not a currency; allowed: three capital letters, like USD\n"
        "  6: offers[0].name: is missing; needed here: id, name\n"
        "  7: offers[1].grants[0]: no platform 'x' under platforms; allowed: strip"
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [1\nb: 2\n", "2: not YAML here: expected ',' or ']', but got ':'"),
        ("a: b: c\n", "1: not YAML here: mapping values are not allowed here"),
        ("a: *b\n", "1: not YAML here: found undefined alias 'b'"),
        ("a: \x01\n", "1: holds characters that YAML does not allow; save it as plain UTF-8 text"),
        ("# nothing\n", "1: the file is empty; the README shows how to write one"),
        ("- a\n", "1: is a list, must be names with values, like {name: value}"),
    ],
)
def test_a_file_that_is_no_yaml(folder: Path, text: str, sentence: str) -> None:
    assert mistakes(folder, text) == [sentence]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match="can't be read as text \\(FileNotFoundError\\); the README shows how to write one"
    ):
        load(tmp_path / "journey.yaml")


# -- secrets and waivers ----------------------------------------------------------------------------------------------


class ShopOptions(Options):
    refunds: bool = True


KEYED = Platform(
    "shop", (), {}, lambda _raw, _options: {}, ShopOptions, secrets=("SHOP_KEY", "SHOP_TOKEN", "SHOP_ACCOUNT"),
    needed_for={"SHOP_ACCOUNT": "refunds"},
)  # fmt: skip


def test_secrets_are_read_by_name() -> None:
    environ = {"SHOP_KEY": "k", "SHOP_TOKEN": " t\n", "SHOP_ACCOUNT": "a", "OTHER": "o"}
    assert secrets(KEYED, ShopOptions(), environ) == {"SHOP_KEY": "k", "SHOP_TOKEN": "t", "SHOP_ACCOUNT": "a"}


def test_a_secret_that_only_an_option_needs_is_not_asked_for_without_it() -> None:
    known = {"SHOP_KEY": "k", "SHOP_TOKEN": "t"}
    assert secrets(KEYED, ShopOptions(refunds=False), known) == known


def test_missing_secrets_are_listed_together_without_values() -> None:
    with pytest.raises(SourceError) as refused:
        secrets(KEYED, ShopOptions(), {"SHOP_KEY": "hush", "SHOP_TOKEN": " "})
    assert str(refused.value) == (
        "shop: 2 secrets missing from the environment: SHOP_TOKEN, SHOP_ACCOUNT. Set them, then try: journey doctor."
    )
    assert not refused.value.is_transient


def test_waivers(tmp_path: Path) -> None:
    file = tmp_path / "waivers.csv"
    file.write_text("finding,reason,who,until\n0123456789abcdef,goodwill,ann,2026-05-31\n", encoding="utf-8-sig")
    assert waivers(file).rows() == [("0123456789abcdef", "goodwill", "ann", date(2026, 5, 31))]
    assert waivers(file).schema["until_on"] == pl.Date


def test_a_waivers_file_is_refused_with_every_mistake(tmp_path: Path) -> None:
    file = tmp_path / "waivers.csv"
    file.write_text("finding,reason,who,until\nperson:p1,,ann,2026-05-31\nperson:p2,goodwill,ann,May\n")
    with pytest.raises(SettingsError) as refused:
        waivers(file)
    assert [mistake[:2] for mistake in refused.value.mistakes] == ["2:", "3:"]
