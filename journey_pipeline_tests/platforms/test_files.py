"""The files platform: real files of every format, SQL over them, what vanishes, and every way a file can be refused."""

import csv
import io
import json
import zipfile
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from xml.sax.saxutils import escape

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from journey_pipeline.errors import JourneyError, SourceError
from journey_pipeline.lake import RawLog
from journey_pipeline.lake.ingest import ingest
from journey_pipeline.platforms import files, tabular
from journey_pipeline.platforms.base import Platform, Pull
from journey_pipeline.records import Source, build
from journey_pipeline_tests.platforms.harness import raw_frame

DAY_1 = datetime(2026, 5, 13, 6, tzinfo=UTC)
DAY_2, DAY_3 = DAY_1 + timedelta(days=1), DAY_1 + timedelta(days=2)

ROWS: list[dict[str, str | None]] = [
    {"account_id": "A1", "signed_on": "2024-01-31", "seats": "3", "note": 'says "hi", twice'},
    {"account_id": "A2", "signed_on": "2024-02-29", "seats": None, "note": None},
]


def read(file: Path) -> list[dict[str, object]]:
    _, pages = tabular.read(file, "exports accounts")
    return [dict(row) for page in pages for row in page]


def workbook(file: Path, rows: list[list[object]]) -> Path:
    """A real .xlsx, smallest possible; days are Excel's serial numbers with a date style."""

    def cell(value: object) -> str:
        if value is None:
            return "<c/>"
        if isinstance(value, date):
            return f'<c s="1"><v>{(value - date(1899, 12, 30)).days}</v></c>'
        if isinstance(value, int | float):
            return f"<c><v>{value}</v></c>"
        return f'<c t="inlineStr"><is><t>{escape(str(value))}</t></is></c>'

    kinds = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    rels = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    packed = "http://schemas.openxmlformats.org/package/2006"
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    body = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{packed}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kinds}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{kinds}.worksheet+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{kinds}.styles+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{packed}/relationships">'
        f'<Relationship Id="r1" Type="{rels}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{rels}">'
        '<sheets><sheet name="S" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{packed}/relationships">'
        f'<Relationship Id="r1" Type="{rels}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="r2" Type="{rels}/styles" Target="styles.xml"/></Relationships>',
        "xl/styles.xml": f'<styleSheet xmlns="{main}"><cellXfs count="2"><xf numFmtId="0"/>'
        '<xf numFmtId="14" applyNumberFormat="1"/></cellXfs></styleSheet>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{body}</sheetData></worksheet>',
    }
    with zipfile.ZipFile(file, "w") as packed_file:
        for name, text in parts.items():
            packed_file.writestr(name, text)
    return file


# -- formats ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_csv_of_any_usual_separator(tmp_path: Path, separator: str) -> None:
    file = tmp_path / "accounts.csv"
    with file.open("w", encoding="utf-8-sig", newline="") as text:  # as spreadsheet programs save it: with a mark
        writer = csv.writer(text, delimiter=separator)
        writer.writerow(["Account ID", "signedOn", "seats", "Note"])
        writer.writerows([row.values() for row in ROWS])
    assert read(file) == ROWS


def test_excel(tmp_path: Path) -> None:
    header: list[object] = ["Account ID", "signedOn", "seats", "Note"]
    lines: list[list[object]] = [
        ["A1", date(2024, 1, 31), 3, 'says "hi", twice'],
        ["A2", date(2024, 2, 29), None, None],
    ]
    rows = read(workbook(tmp_path / "accounts.xlsx", [header, *lines]))
    assert [row["signed_on"] for row in rows] == ["2024-01-31 00:00:00", "2024-02-29 00:00:00"]
    assert [{**row, "signed_on": str(row["signed_on"])[:10]} for row in rows] == ROWS


def test_json_lines_keep_what_they_hold(tmp_path: Path) -> None:
    file = tmp_path / "accounts.jsonl"
    file.write_text('{"accountId": "A1", "tags": ["x"], "seats": 3}\n\n{"accountId": "A2", "late": null}\n')
    assert read(file) == [{"account_id": "A1", "tags": ["x"], "seats": 3}, {"account_id": "A2", "late": None}]


def test_parquet_types_as_text(tmp_path: Path) -> None:
    file = tmp_path / "accounts.parquet"
    pl.DataFrame({
        "accountId": ["A1", None],
        "at": pl.Series([datetime(2024, 1, 31, 12, 30, 0, 5, UTC), None]),
        "onDay": [date(2024, 1, 31), None],
        "seats": [3, None],
        "score": [12.0, 12.5],
        "price": [Decimal("12.30"), None],
        "isPaid": [True, None],
        "tags": [["a", "b"], None],
        "owner": [{"name": "ann"}, None],
    }).write_parquet(file)  # fmt: skip
    assert read(file) == [
        {"account_id": "A1", "at": "2024-01-31T12:30:00.000005+00:00", "on_day": "2024-01-31", "seats": "3",
         "score": "12", "price": "12.30", "is_paid": "true", "tags": '["a","b"]', "owner": '{"name":"ann"}'},
        {"account_id": None, "at": None, "on_day": None, "seats": None, "score": "12.5", "price": None,
         "is_paid": None, "tags": None, "owner": None},
    ]  # fmt: skip


CELLS = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@given(st.lists(st.tuples(CELLS, CELLS).filter(any), max_size=8))
def test_any_text_comes_back_from_csv(tmp_path_factory: pytest.TempPathFactory, cells: list[tuple[str, str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([("a", "b"), *cells])
    file = tmp_path_factory.mktemp("csv") / "any.csv"
    file.write_bytes(text.getvalue().encode())
    assert read(file) == [{"a": a or None, "b": b or None} for a, b in cells]


@given(st.floats(allow_nan=False, allow_infinity=False, width=64))
def test_any_number_comes_back_from_parquet(tmp_path_factory: pytest.TempPathFactory, number: float) -> None:
    file = tmp_path_factory.mktemp("parquet") / "any.parquet"
    pl.DataFrame({"a": [number]}).write_parquet(file)
    (row,) = read(file)
    assert float(str(row["a"])) == number


@pytest.mark.parametrize("count", [0, 1, tabular.PAGE, tabular.PAGE + 1])
def test_pages(tmp_path: Path, count: int) -> None:
    file = tmp_path / "many.csv"
    file.write_text("id\n" + "".join(f"{i}\n" for i in range(count)))
    _, pages = tabular.read(file, "exports many")
    sizes = [len(page) for page in pages]
    assert sizes == [size for size in (min(count, tabular.PAGE), count - tabular.PAGE) if size > 0]


# -- files that are refused -------------------------------------------------------------------------------------------

REFUSED = {
    "ragged lines": ("a.csv", b"id,name\n1,ann\n2\n3,cy,x\n4,dee\n5\n6\n",
                     ("4 of 7 lines have another number of cells than the 2 columns of the first line"
                      " (lines 3, 4, 6 …); mend the export.")),
    "a quote that never ends": ("a.csv", b'id,name\n1,"ann\n2,bob\n',
                                "line 3 can't be read (unexpected end of data); mend the export."),
    "nothing": ("a.csv", b"", "has no columns; its first line must name them."),
    "a nameless column": ("a.csv", b"id,,name\n", "column 2 has no name; name it in the first line."),
    "two columns of one name": ("a.csv", b"Paid At,paid_at\n",
                                "columns 'Paid At' and 'paid_at' would both be 'paid_at'; rename one."),
    "the same column twice": ("a.csv", b"id,id\n", "columns 'id' and 'id' would both be 'id'; rename one."),
    "a name that is ours": ("a.csv", b"id,_row\n", "a column can't be named '_row'; rename it."),
    "latin-1": ("a.csv", "id\nJosé\n".encode("latin-1"), "a.csv is not UTF-8 text; export it as UTF-8."),
    "no workbook": ("a.xlsx", b"hello", "is not a workbook that can be read; save it as .xlsx again."),
    "no JSON": ("a.jsonl", b'{"id": 1}\n{"id": \n[1]\n',
                "2 of 3 lines hold no JSON object (lines 2, 3); mend the export."),
    "no JSON at all": ("a.jsonl", b"\n", "holds no rows, so no columns; export it with rows, or as CSV with a first line."),
    "no Parquet": ("a.parquet", b"hello", "a.parquet can't be read (ComputeError); export it again."),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_cant_be_read_is_refused_whole(tmp_path: Path, case: str) -> None:
    name, content, sentence = REFUSED[case]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError) as refused:
        pull(exports(tmp_path, {"accounts": name}, {"contacts": "accounts"}), DAY_1)
    assert str(refused.value).endswith(f": {sentence}")
    assert str(refused.value).startswith("exports accounts: ")
    assert not refused.value.is_transient


def test_bytes_in_parquet_are_refused(tmp_path: Path) -> None:
    pl.DataFrame({"photo": [[b"x"]]}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(SourceError, match="column 'photo' holds bytes; leave it out of the export"):
        read(tmp_path / "a.parquet")


def test_a_missing_file_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as refused:
        pull(exports(tmp_path, {"accounts": "inbox/*.csv"}, {"contacts": "accounts"}), DAY_1)
    assert str(refused.value) == (
        "exports accounts: no file 'inbox/*.csv'; put the export there, or correct the path in journey.yaml."
    )
    assert not refused.value.is_transient


# -- tables and records -----------------------------------------------------------------------------------------------

Frames = dict[str, pl.DataFrame]


def exports(folder: Path, tables: Mapping[str, str], records: Mapping[str, str]) -> Platform:
    return files.made("exports", files.Options(tables=dict(tables), records=dict(records)), folder)


def pull(platform: Platform, at: datetime, frames: Mapping[str, pl.DataFrame] | None = None) -> Frames:
    """One more load of every table, as the lake would keep it."""
    kept = dict(frames or {})
    for resource in platform.resources:
        rows = [row for page in resource.pull(Pull(platform.name, resource, None, {}, at)) for row in page]
        parts = [kept[resource.name]] if resource.name in kept else []
        kept[resource.name] = pl.concat([*parts, raw_frame(rows, resource.name, at)], how="diagonal")
    return kept


def said(platform: Platform, frames: Mapping[str, pl.DataFrame], kind: str) -> pl.DataFrame:
    raw = {name: frame.lazy() for name, frame in frames.items()}
    return platform.read(raw, None)[kind].collect()


PAYMENTS_SQL = """
-- one payment per invoice
with known as (select * from accounts)
select
    i.invoice_id as record_id,
    i.paid_at as occurred_at,
    try_cast(i.cents as bigint) as amount_minor,
    k.email,
    ['crm:' || i.account] as keys,
    case when i.paid_at is null then 'not paid' end as _reject,
    i._row,
    i._resource
from invoices i
left join known k on k.id = i.account
"""


@pytest.fixture
def billing(tmp_path: Path) -> Platform:
    (tmp_path / "payments.sql").write_text(PAYMENTS_SQL)
    (tmp_path / "invoices.csv").write_text("Invoice ID,account,paidAt,cents\ni1,a1,2026-05-01,4990\ni2,a9,,x\n")
    (tmp_path / "accounts.csv").write_text("id,email\na1,ann@example.org\n")
    return exports(tmp_path, {"invoices": "invoices.csv", "accounts": "accounts.csv"}, {"payments": "payments.sql"})


def test_sql_over_two_tables(billing: Platform) -> None:
    assert dict(billing.says) == {"payments": ("invoices", "accounts")}
    rows = said(billing, pull(billing, DAY_1), "payments").to_dicts()
    assert rows == [
        {"record_id": "i1", "occurred_at": "2026-05-01", "amount_minor": 4990, "email": "ann@example.org",
         "keys": ["crm:a1"], "_reject": None, "_row": 0, "_resource": "invoices", "loaded_at": DAY_1},
        {"record_id": "i2", "occurred_at": None, "amount_minor": None, "email": None,
         "keys": ["crm:a9"], "_reject": "not paid", "_row": 1, "_resource": "invoices", "loaded_at": DAY_1},
    ]  # fmt: skip


def test_every_load_is_asked_for_itself(billing: Platform, tmp_path: Path) -> None:
    frames = pull(billing, DAY_1)
    frames = pull(billing, DAY_2, frames)  # nothing changed
    (tmp_path / "invoices.csv").write_text("Invoice ID,account,paidAt,cents\ni2,a9,2026-05-02,100\n")
    frames = pull(billing, DAY_3, frames)
    rows = said(billing, frames, "payments").select("record_id", "loaded_at", "amount_minor").rows()
    assert rows == [
        ("i1", DAY_1, 4990),
        ("i2", DAY_1, None),
        ("i1", DAY_2, 4990),
        ("i2", DAY_2, None),
        ("i2", DAY_3, 100),
    ]


def test_a_load_that_lacks_a_table_is_not_asked(billing: Platform, tmp_path: Path) -> None:
    frames = pull(billing, DAY_1)
    partial = pull(billing, DAY_2, frames)
    frames["invoices"] = partial["invoices"]  # the accounts could not be read that day
    assert said(billing, frames, "payments")["loaded_at"].unique().to_list() == [DAY_1]


def test_an_empty_table_joins_as_empty(billing: Platform, tmp_path: Path) -> None:
    (tmp_path / "accounts.csv").write_text("id,email\n")
    rows = said(billing, pull(billing, DAY_1), "payments").select("record_id", "email").rows()
    assert rows == [("i1", None), ("i2", None)]


def test_all_tables_empty_say_nothing(billing: Platform, tmp_path: Path) -> None:
    (tmp_path / "accounts.csv").write_text("id,email\n")
    (tmp_path / "invoices.csv").write_text("Invoice ID,account,paidAt,cents\n")
    assert said(billing, pull(billing, DAY_1), "payments").is_empty()


def test_nothing_loaded_says_nothing(billing: Platform) -> None:
    empty = {r.name: raw_frame([], r.name, DAY_1) for r in billing.resources}
    assert said(billing, empty, "payments").is_empty()


def test_a_table_that_has_the_kinds_columns(tmp_path: Path) -> None:
    (tmp_path / "2026-04.csv").write_text("recordId,occurredAt,email,shoe size\nc1,2026-04-01T10:00:00Z,a@x.org,44\n")
    (tmp_path / "2026-05.csv").write_text('record_id,occurred_at,keys\nc2,2026-05-01,"[""stripe:cus_1""]"\n')
    crm = exports(tmp_path, {"people": "*.csv"}, {"contacts": "people"})
    assert dict(crm.says) == {"contacts": ("people",)}
    assert said(crm, pull(crm, DAY_1), "contacts").to_dicts() == [
        {"record_id": "c1", "occurred_at": "2026-04-01T10:00:00Z", "email": "a@x.org", "keys": None,
         "loaded_at": DAY_1, "_row": 0, "_resource": "people"},
        {"record_id": "c2", "occurred_at": "2026-05-01", "email": None, "keys": '["stripe:cus_1"]',
         "loaded_at": DAY_1, "_row": 1, "_resource": "people"},
    ]  # fmt: skip


def test_what_vanishes_is_gone_and_what_cant_be_read_is_shown(billing: Platform, tmp_path: Path) -> None:
    """Through the real raw log and records: SQL keeps the promise that a table keeps."""
    (tmp_path / "access.sql").write_text(
        "select id as record_id, timestamp '2026-05-01' as occurred_at, 'role' as grant, 'active' as status from accounts"
    )
    platform = exports(
        tmp_path,
        {"invoices": "invoices.csv", "accounts": "accounts.csv"},
        {"payments": "payments.sql", "access": "access.sql"},
    )
    log = RawLog(str(tmp_path / "lake"), tmp_path / "scratch")
    (tmp_path / "accounts.csv").write_text("id,email\na1,ann@example.org\na2,bob@example.org\n")
    ingest(platform, name="exports", options=None, secrets={}, log=log, loaded_at=DAY_1)
    (tmp_path / "accounts.csv").write_text("id,email\na1,ann@example.org\n")
    outcomes = ingest(platform, name="exports", options=None, secrets={}, log=log, loaded_at=DAY_2)
    assert [(o.resource, o.row_count, o.error) for o in outcomes] == [("invoices", 2, None), ("accounts", 1, None)]

    records = build([Source(platform, "exports", None)], log, as_of=DAY_3)
    access = records.kinds["access"].select("record_id", "occurred_at", "first_loaded_at", "gone_at").rows()
    may = datetime(2026, 5, 1, tzinfo=UTC)
    assert access == [("a1", may, DAY_1, None), ("a2", may, DAY_1, DAY_2)]
    (rejected,) = records.rejected.filter(pl.col("record_id") == "i2").to_dicts()
    assert (rejected["resource"], rejected["reason"]) == ("invoices", "not paid")
    assert json.loads(rejected["raw"]) == {"invoice_id": "i2", "account": "a9", "paid_at": None, "cents": "x"}


# -- mistakes in SQL and options --------------------------------------------------------------------------------------

WRONG_SQL = {
    "unknown column of the table": ("select nope as record_id from people", "Binder Error: Referenced column"),
    "unknown column of the kind": ("select id as recordid from people", "no column 'recordid' in this kind; did you mean record_id?"),
    "a fraction for an amount": ("select id as record_id, 1.5::double as amount_minor from people",
                                 "amount_minor comes as Float64; round it and cast it to bigint"),
    "a list for text": ("select [id] as record_id from people", "record_id comes as List(String); cast it to varchar"),
    "another resource": ("select id as record_id, 'persons' as _resource from people",
                         "_resource says 'persons'; allowed: people"),
    "a cast that fails": ("select id::bigint as record_id from people",
                          "ConversionException; use try_cast where a cell may be unreadable"),
    "another file": ("select id as record_id from people, read_csv('/etc/hostname')", "PermissionException"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_SQL)
def test_sql_that_fails_says_so_without_quoting_cells(tmp_path: Path, case: str) -> None:
    sql, sentence = WRONG_SQL[case]
    (tmp_path / "deals.sql").write_text(sql)
    (tmp_path / "people.csv").write_text("id\nann@example.org\n")
    crm = exports(tmp_path, {"people": "people.csv"}, {"deals": "deals.sql"})
    with pytest.raises(JourneyError) as refused:
        said(crm, pull(crm, DAY_1), "deals")
    assert str(refused.value).startswith(f"exports deals: deals.sql: {sentence}")
    assert "ann@example.org" not in str(refused.value)
    assert refused.value.__cause__ is None or "ann@example.org" not in str(refused.value.__cause__)


def test_every_mistake_in_the_options(tmp_path: Path) -> None:
    for name, sql in {
        "typo": "select 1 from peeple",
        "broken": "selec 1 from people",
        "two": "select 1 from people; select 2 from people",
        "drop": "drop table people",
        "none": "select 1",
        "file": "select * from 'people.csv'",
        "good": "with x as (from people) select id from x left join PEOPLE using (id)",
    }.items():
        (tmp_path / f"{name}.sql").write_text(sql)
    tables = {"people": "people.csv", "photos": "photos.zip"}

    def found(records: dict[str, str]) -> list[tuple[str, str]]:
        return files.mistakes(files.Options(tables=tables, records=records), tmp_path)[1:]

    assert files.mistakes(files.Options(tables=tables, records={"contacts": "good.sql"}), tmp_path) == [
        (
            "tables.photos",
            "'photos.zip' is no file that can be read; allowed: .csv, .tsv, .xlsx, .jsonl, .ndjson, .parquet",
        )
    ]
    at = "records.contacts"
    assert found({"contacts": "people"}) == []
    assert found({"contacts": "persons"}) == [
        (at, "no table 'persons' under tables; allowed: people, photos, or the path of a .sql file")
    ]
    assert found({"contacts": "typo.sql"}) == [
        (at, "typo.sql reads 'peeple'; did you mean people? allowed: people, photos")
    ]
    assert found({"contacts": "broken.sql"}) == [(at, 'broken.sql is not one SELECT (syntax error at or near "selec")')]
    assert found({"contacts": "two.sql"}) == [(at, "two.sql is not one SELECT (it has 2 statements)")]
    assert found({"contacts": "drop.sql"}) == [(at, "drop.sql is not one SELECT (it is another statement)")]
    assert found({"contacts": "none.sql"}) == [(at, "none.sql reads no table; allowed: people, photos")]
    assert found({"contacts": "file.sql"}) == [
        (at, "file.sql reads 'people.csv'; did you mean people? allowed: people, photos")
    ]
    assert found({"contacts": "gone.sql"}) == [(at, "no file 'gone.sql' beside the settings file")]
    ((path, sentence),) = found({"contact": "people"})
    assert path == "records.contact"
    assert sentence.startswith("no kind of record 'contact'; did you mean contacts? allowed: access, ")


def test_names_of_tables_are_plain() -> None:
    with pytest.raises(ValueError, match="should match pattern"):
        files.Options(tables={"My Table": "a.csv"}, records={"contacts": "a"})
