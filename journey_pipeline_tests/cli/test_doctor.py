"""`journey doctor` on real files and on platforms that answer over loopback; `journey accept` on a list that shrank."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from psycopg.conninfo import make_conninfo

from journey_pipeline.cli.doctor import accept_drop, examine
from journey_pipeline.errors import JourneyError
from journey_pipeline.lake import RawLog, ingest
from journey_pipeline.orchestration.home import Home
from journey_pipeline.platforms import http
from journey_pipeline.registry import TABLES, record_schema
from journey_pipeline.sandbox import business, server
from journey_pipeline.sandbox.world import Trouble, World
from journey_pipeline.settings import load, sources

SETTINGS = """\
business: {name: Corner Shop, timezone: UTC, currency: USD}
platforms:
  till:
    type: files
    tables: {sales: sales.csv, keys: keys.csv}
    records: {payments: sql/payments.sql, access: keys}
offers:
  - {id: tea, name: Tea, bought_as: ["till:tea", "till:chai"], grants: ["till:room"]}
ignore_products: ["till:bag"]
off: {refund_revokes_access: refunds are goodwill here}
"""
SALES = "id,day,who,product,cents,status\n1,2026-05-01T10:00:00Z,ann@x.example,tea,900,succeeded\n"
KEYS = (
    "record_id,occurred_at,email,grant,product_ref,status,basis\n"
    "k1,2026-05-01T10:01:00Z,ann@x.example,course,till:room,active,paid\n"
    "k2,2026-05-01T10:01:00Z,ben@x.example,course,till:room,maybe,paid\n"
)
SQL = """\
select id as record_id, day as occurred_at, who as email, 'till:' || product as product_ref,
       cents::bigint as amount_minor, 'USD' as currency, status, 'processor' as role
from sales
"""
VENDORS = """\
business: {{name: Northwind, timezone: America/New_York, currency: USD, country: US}}
platforms:
  zendesk: {{base_url: "{zendesk}"}}
  typeform: {{base_url: "{typeform}"}}
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shop of two tables, in the folder where the commands are given."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sql").mkdir()
    for name, text in {
        "journey.yaml": SETTINGS, "sales.csv": SALES, "keys.csv": KEYS, "sql/payments.sql": SQL,
    }.items():  # fmt: skip
        (tmp_path / name).write_text(text)
    return tmp_path


def load_raw(folder: Path, loaded_at: datetime) -> None:
    log = RawLog(str(folder / "journey_data" / "lake" / "raw"), folder / "journey_data" / "scratch")
    for source in sources(load(folder / "journey.yaml"), folder):
        ingest(
            source.platform, name=source.name, options=source.options, secrets={}, log=log, loaded_at=loaded_at
        )  # fmt: skip


def examined(capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    code = examine(settings=None, home=None)
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 100
    return code, [" ".join(line.split()) for line in shown.splitlines()]


def test_a_shop_before_its_first_run(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, shown = examined(capsys)
    assert shown[:6] == [
        "Settings",
        "✓ journey.yaml is valid: 1 platform, 1 offer",
        "till",
        "✓ readable: sales (1 row), keys (2 rows)",
        "✓ payments: 1 record",
        "! access: 1 record, 1 row can't be read: unknown status 'maybe' (1)",
    ]
    mapping, rules = shown.index("Mapping"), shown.index("Rules")
    assert " ".join(shown[mapping + 1 : rules]) == (
        "! nothing was read yet, so the offers can't be compared with what is sold: journey run"
    )
    assert any("✓" in line and "rules can be asked" in line for line in shown)
    assert any(line.startswith("! no platform says contacts: ") for line in shown)
    assert "! refund_revokes_access is off: refunds are goodwill here" in shown
    assert "! never loaded yet: till; journey run" in shown
    assert shown[-1].startswith("All right, ")
    assert code == 0
    assert not (shop / "journey_data").exists()  # nothing of what was read is kept


def test_a_file_that_is_not_there_and_sql_that_does_not_fit(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shop / "sql" / "payments.sql").write_text("select id as record_id, price as amount_minor from sales")
    code, shown = examined(capsys)
    assert code == 2
    assert any("✗ till payments: sql/payments.sql:" in line and "price" in line for line in shown)
    (shop / "keys.csv").unlink()
    code, shown = examined(capsys)
    assert code == 2
    assert "✗ till keys: no file 'keys.csv'; put the export there, or correct the path in journey.yaml." in shown
    assert "✓ readable: sales (1 row)" in shown


def test_every_mistake_of_the_settings_is_shown_and_nothing_else_is_asked(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (shop / "journey.yaml").write_text(SETTINGS.replace("timezone: UTC", "timezone: Mars").replace("till:tea", "x:tea"))
    code, shown = examined(capsys)
    assert code == 2
    assert shown[:2] == ["Settings", "✗ journey.yaml: 2 mistakes"]
    assert shown[2].startswith("✗ 1: business.timezone: 'Mars' is not a time zone")
    assert "offers[0].bought_as[0]: no platform 'x' under platforms; allowed: till" in " ".join(shown[3:])
    assert "till" not in shown


def test_references_that_were_never_seen_and_products_that_no_offer_names(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = Home(shop / "journey_data").tables
    seen = [
        {"product_ref": ref, "is_in_use": in_use}
        for ref, in_use in (
            ("till:tea", True),
            ("till:room", True),
            ("till:bag", True),
            ("till:mug", True),
            ("till:old", False),
        )
    ]
    tables.write("journeys", "products", pl.DataFrame(seen, schema=TABLES["products"].schema))
    tables.write("records", "messages", pl.DataFrame(schema=record_schema("messages")))
    code, shown = examined(capsys)
    assert shown[shown.index("Mapping") + 1 : shown.index("Rules")] == [
        "! tea: bought_as till:chai was never seen; correct it, unless it is new",
        "✓ 2 of 3 references in 1 offer were seen",
        "! till:mug is sold or granted, but in no offer; add it to one, or to ignore_products",
    ]
    assert code == 0


def test_what_is_old_is_wrong_whatever_the_last_run_made_of_it(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    load_raw(shop, now - timedelta(days=3))
    code, shown = examined(capsys)
    assert code == 2
    assert sum(line.startswith("✗ till ") and line.endswith("UTC; run the job.") for line in shown) == 2
    load_raw(shop, now - timedelta(hours=5))
    code, shown = examined(capsys)
    assert "✓ till: all fresh, loaded 5 hours ago" in shown
    assert code == 0


def test_a_list_that_shrank_is_wrong_until_it_is_accepted(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    (shop / "keys.csv").write_text(KEYS + KEYS.splitlines()[1] + "\n" + KEYS.splitlines()[1] + "\n")
    load_raw(shop, now - timedelta(hours=2))
    (shop / "keys.csv").write_text("\n".join(KEYS.splitlines()[:2]))
    load_raw(shop, now - timedelta(hours=1))
    code, shown = examined(capsys)
    told = " ".join(shown)
    assert code == 2
    assert "✗ till keys came back with 1 rows, under half of the last 4." in told
    assert "If the drop is real: journey accept till.keys." in told

    assert accept_drop("till.keys", settings=None, home=None) == 0
    assert capsys.readouterr().out == "1 row of till.keys are believed from now on. Judge again with: journey run\n"
    code, shown = examined(capsys)
    assert code == 0
    assert "✓ till: all fresh, loaded 60 minutes ago" in shown or "✓ till: all fresh, loaded 1 hour ago" in shown


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("till.key", "there is no list 'till.key'; did you mean till.keys? allowed: till.keys, till.sales"),
        ("till", "there is no list 'till'; "),
        ("till.keys", "till.keys: it was never loaded, not partial; there is nothing to accept."),
    ],
)
def test_nothing_to_accept(shop: Path, source: str, sentence: str) -> None:
    with pytest.raises(JourneyError) as refused:
        accept_drop(source, settings=None, home=None)
    assert sentence in str(refused.value)


def test_a_whole_list_needs_no_accepting(shop: Path) -> None:
    load_raw(shop, datetime.now(UTC))
    with pytest.raises(JourneyError, match=r"till.keys: its newest load is complete, not partial"):
        accept_drop("till.keys", settings=None, home=None)


@pytest.fixture
def vendors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Two vendors on loopback, their keys in the environment, and no patience."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(http, "BACKOFF_S", 0.01)
    for name, value in server.secrets(("zendesk", "typeform")).items():
        monkeypatch.setenv(name, value)
    world = business.generate(30, 7, datetime.now(UTC) - timedelta(hours=1))
    with server.serve(world, ("zendesk", "typeform")) as urls:
        (tmp_path / "journey.yaml").write_text(VENDORS.format(**urls))
        yield world


def test_platforms_that_answer(vendors: World, capsys: pytest.CaptureFixture[str]) -> None:
    code, shown = examined(capsys)
    assert shown[2:8] == [
        "zendesk",
        "✓ ZENDESK_EMAIL and ZENDESK_API_TOKEN are set",
        "✓ answers: tickets, users",
        "typeform",
        "✓ TYPEFORM_TOKEN is set",
        "✓ answers: forms, responses",
    ]
    assert code == 0


def test_missing_secrets_are_named_and_no_value_is_ever_shown(
    vendors: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TYPEFORM_TOKEN", "tfp_wrong_but_secret")
    monkeypatch.delenv("ZENDESK_API_TOKEN")
    code, shown = examined(capsys)
    told = " ".join(shown)
    assert code == 2
    assert "✗ zendesk: 1 secret missing from the environment: ZENDESK_API_TOKEN." in told
    assert "✗ typeform forms: answered 401: the key was refused; check the secret and renew it." in told
    assert "No later run mends that." in told
    assert "tfp_wrong_but_secret" not in told
    assert shown[-1].startswith("3 things to mend")


def test_a_platform_that_is_down_is_told_apart_and_not_asked_again(
    vendors: World, capsys: pytest.CaptureFixture[str]
) -> None:
    vendors.trouble["zendesk"] = Trouble(503)
    code, shown = examined(capsys)
    told = " ".join(shown)
    assert code == 2
    assert "answered 503 5 times; it is down or limits us, the next run tries again. Its other lists were not" in told
    assert vendors.trouble["zendesk"].seen == 5
    assert "✓ answers: forms, responses" in shown


def publishing(capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code, shown = examined(capsys)
    return code, " ".join(shown[shown.index("Publishing") + 1 : shown.index("Freshness")])


def test_where_bi_reads_needs_nothing_unless_the_settings_say_so(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert publishing(capsys) == (0, "✓ duckdb: a file ✓ personal data: clear")


def test_an_address_and_a_key_that_the_settings_need_are_missed(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (shop / "journey.yaml").write_text(SETTINGS + "publish: {to: postgres, pii: masked}\n")
    monkeypatch.delenv("JOURNEY_PUBLISH_URL", raising=False)
    monkeypatch.delenv("JOURNEY_PII_KEY", raising=False)
    code, told = publishing(capsys)
    assert code == 2
    assert "✗ publish.to is postgres, but JOURNEY_PUBLISH_URL is missing from the environment." in told
    assert "✗ publish.pii is masked, but JOURNEY_PII_KEY is missing from the environment." in told
    monkeypatch.setenv("JOURNEY_PUBLISH_URL", "postgresql://me:hunter2@127.0.0.1:1/bi")
    monkeypatch.setenv("JOURNEY_PII_KEY", "0123456789abcdef" * 2)
    code, told = publishing(capsys)
    assert code == 2
    assert "✗ PostgreSQL can't be published to " in told
    assert "✓ personal data: masked, JOURNEY_PII_KEY is set" in told
    assert "hunter2" not in told


def test_postgresql_that_lets_us_publish_and_one_that_does_not(
    shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, server_of_readers: Any
) -> None:
    (shop / "journey.yaml").write_text(SETTINGS + "publish: {to: postgres}\n")
    server_of_readers.psql("create database asked;")
    server_of_readers.psql("create role onlooker login;")
    url = server_of_readers.get_uri("asked")
    monkeypatch.setenv("JOURNEY_PUBLISH_URL", url)
    assert publishing(capsys) == (0, "✓ postgres: it answers, and lets us create ✓ personal data: clear")
    monkeypatch.setenv("JOURNEY_PUBLISH_URL", make_conninfo(url, user="onlooker"))
    code, told = publishing(capsys)
    assert code == 2
    assert told.startswith("✗ PostgreSQL would refuse a publication. The user of JOURNEY_PUBLISH_URL needs CREATE on")
