"""Writes the Superset bundle from the views: `python -m journey_pipeline_tests.publish.bundle`.

What the dashboard shows is here; what a column holds comes from the views. Personal columns are left out, so the bundle
works whatever `publish.pii` says.
"""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import duckdb
import yaml

from journey_pipeline.publish import publish, views_folder
from journey_pipeline.publish.privacy import PERSONAL

BUNDLE = Path(__file__).parents[2] / "superset" / "bundle"
_DATABASE = "Journey"
_TYPES = {"BIGINT": "BIGINT", "INTEGER": "BIGINT", "DOUBLE": "DOUBLE PRECISION", "BOOLEAN": "BOOLEAN", "DATE": "DATE"}
_VERSION = "1.0.0"
_MEASURES = ("at_risk", "net", "median_hours", "p90_hours", "value_reported", "value_computed")


def _uuid(*path: str) -> str:
    return str(uuid5(NAMESPACE_URL, "/".join(("journey", *path))))


def _metric(sql: str, label: str) -> dict[str, Any]:
    return {"expressionType": "SQL", "sqlExpression": sql, "label": label, "hasCustomLabel": True, "optionName": label}


def _only(sql: str) -> list[dict[str, Any]]:
    return [{"expressionType": "SQL", "sqlExpression": sql, "clause": "WHERE"}]


def _number(sql: str, label: str, subtitle: str, where: str = "") -> dict[str, Any]:
    return {
        "viz_type": "big_number_total", "metric": _metric(sql, label), "subtitle": subtitle, "y_axis_format": ",d",
        "header_font_size": 0.4, "subheader_font_size": 0.15, "adhoc_filters": _only(where) if where else [],
    }  # fmt: skip


def _table(*columns: str, order: tuple[str, bool] | None = None, rows: int = 200, where: str = "") -> dict[str, Any]:
    return {
        "viz_type": "table", "query_mode": "raw", "all_columns": list(columns), "row_limit": rows, "page_length": 0,
        "order_by_cols": [f'["{order[0]}", {str(order[1]).lower()}]'] if order else [], "include_search": False,
        "table_timestamp_format": "%Y-%m-%d" if "ends_on" in columns else "%Y-%m-%d %H:%M", "show_cell_bars": False, "allow_rearrange_columns": True,
        "adhoc_filters": _only(where) if where else [],
        "column_config": {column: {"d3NumberFormat": ",.1f"} for column in columns if column in _MEASURES},
    }  # fmt: skip


# Bars of two currencies stand side by side: stacked, they would be added.
def _bars(
    x: str, sql: str, label: str, *by: str, horizontal: bool = False, stack: str | None = None, where: str = ""
) -> dict[str, Any]:
    return {
        "viz_type": "echarts_timeseries_bar", "x_axis": x, "metrics": [_metric(sql, label)], "groupby": list(by),
        "stack": stack, "row_limit": 10000, "show_legend": bool(by), "rich_tooltip": True, "y_axis_format": ",.0f",
        "orientation": "horizontal" if horizontal else "vertical", "time_grain_sqla": "P1D", "truncateXAxis": False,
        "x_axis_time_format": "%d %b", "adhoc_filters": _only(where) if where else [], "color_scheme": "supersetColors",
        "legendOrientation": "top", "legendType": "scroll",
    }  # fmt: skip


# Title -> (view, width of 12, what is drawn); a row of the dashboard each.
ROWS: tuple[Mapping[str, tuple[str, int, dict[str, Any]]], ...] = (
    {
        "Open findings": ("worklist", 3, _number("count(*)", "open", "things are broken now")),
        "Critical ones": ("worklist", 3, _number("count(*)", "critical", "of these are critical", "severity = 'critical'")),
        "Sources not fresh": ("source_health", 3, _number("count(*)", "stale", "sources to look after", "not is_fresh")),
        "Buyers at risk of churn": ("buyers_at_risk_of_churn", 3, _number("count(*)", "buyers", "show at least one sign")),
    },
    {
        "Money at risk by team": ("money_at_risk_by_owner", 6, _bars("owner", "sum(at_risk)", "at risk", "currency", where="at_risk is not null")),
        "Money at risk by day and team": (
            "money_at_risk_by_day_and_owner", 6, _bars("day_on", "sum(at_risk)", "at risk", "owner", "currency", where="at_risk is not null")),
    },
    {
        "Worklist": ("worklist", 12, _table(
            "priority", "owner", "invariant", "offer_id", "broken_since_at", "at_risk", "currency", "evidence", "fix", "url",
            order=("priority", True))),
    },
    {
        "Broken by handoff": ("broken_by_handoff", 7, _table(
            "invariant", "severity", "owner", "open_findings", "new_findings", "at_risk", "currency", "gate",
            order=("open_findings", False))),
        "Incidents": ("incidents", 5, _table("sentence", "at_risk", "currency", "first_repair", where="status = 'open'")),
    },
    {
        "Funnel": ("funnel", 5, {
            **_bars("step", "sum(reached)", "reached", horizontal=True), "x_axis_sort": "reached", "x_axis_sort_asc": True,
            "show_value": True}),
        "Paid journeys by the week in which they began": (
            "funnel_by_week", 7, _bars("week_on", "sum(reached)", "paid", "channel", stack="Stack", where="step = 'paid'")),
    },
    {
        "Time between steps, hours": ("time_between_steps", 7, _table(
            "offer_id", "handoff", "converted", "waiting", "median_hours", "p90_hours", order=("handoff_number", True))),
        "Reported against actual": ("reported_vs_actual", 5, _table(
            "report", "metric", "ends_on", "value_reported", "value_computed", "is_off", order=("ends_on", False))),
    },
    {
        "Who may leave, and why": ("buyers_at_risk_of_churn", 6, _table(
            "person_id", "offer_id", "signs", "net", "currency", "last_use_at", order=("sign_count", False))),
        "Source health": ("source_health", 6, _table(
            "source", "status", "last_load_at", "row_count", "rejected_count", "detail", order=("priority", True))),
    },
)  # fmt: skip


def files() -> dict[str, str]:
    """Path -> text of every file of the bundle."""
    charts = {title: spec for row in ROWS for title, spec in row.items()}
    columns = _columns()
    found: dict[str, Any] = {
        "metadata.yaml": {"version": _VERSION, "type": "Dashboard", "timestamp": "2026-01-01T00:00:00+00:00"},
        "databases/journey.yaml": {
            "database_name": _DATABASE, "sqlalchemy_uri": "postgresql+psycopg2://localhost/journey", "uuid": _uuid("database"),
            "expose_in_sqllab": True, "allow_run_async": False, "allow_dml": False, "extra": {}, "version": _VERSION,
        },
        "dashboards/journey.yaml": _dashboard(),
    }  # fmt: skip
    for view in sorted({view for view, _, _ in charts.values()}):
        found[f"datasets/journey/{view}.yaml"] = {
            "table_name": view, "schema": "bi", "uuid": _uuid("dataset", view), "database_uuid": _uuid("database"),
            "columns": columns[view], "metrics": [], "main_dttm_col": None, "sql": None, "params": None, "extra": None,
            "version": _VERSION,
        }  # fmt: skip
    for title, (view, _, params) in charts.items():
        found[f"charts/{_slug(title)}.yaml"] = {
            "slice_name": title, "viz_type": params["viz_type"], "params": params, "uuid": _uuid("chart", title),
            "dataset_uuid": _uuid("dataset", view), "cache_timeout": None, "version": _VERSION,
        }  # fmt: skip
    return {path: yaml.safe_dump(content, sort_keys=False, allow_unicode=True) for path, content in found.items()}


def _columns() -> dict[str, list[dict[str, Any]]]:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "warehouse.duckdb"
        publish({}, views_folder(), target)
        with duckdb.connect(str(target), read_only=True) as db:
            told = db.sql(
                "select table_name, column_name, data_type from duckdb_columns() where schema_name = 'bi'"
                " order by table_name, column_index"
            ).fetchall()
    found: dict[str, list[dict[str, Any]]] = {}
    for view, name, dtype in told:
        if name not in PERSONAL:
            kind = "TIMESTAMP" if dtype.startswith("TIMESTAMP") else "NUMERIC" if dtype.startswith("DECIMAL") else dtype
            is_time = kind in ("TIMESTAMP", "DATE")
            found.setdefault(view, []).append(
                {"column_name": name, "type": _TYPES.get(kind, kind if kind in ("TIMESTAMP", "NUMERIC") else "TEXT"),
                 "is_dttm": is_time, "groupby": True, "filterable": True, "is_active": True}
            )  # fmt: skip
    return found


def _dashboard() -> dict[str, Any]:
    places: dict[str, Any] = {
        "DASHBOARD_VERSION_KEY": "v2",
        "ROOT_ID": {"type": "ROOT", "id": "ROOT_ID", "children": ["GRID_ID"]},
        "GRID_ID": {"type": "GRID", "id": "GRID_ID", "parents": ["ROOT_ID"], "children": []},
        "HEADER_ID": {"type": "HEADER", "id": "HEADER_ID", "meta": {"text": "Journey: what breaks, and what it costs"}},
    }
    for number, row in enumerate(ROWS, start=1):
        row_id, is_short = f"ROW-{number}", number == 1
        places["GRID_ID"]["children"].append(row_id)
        parents = ["ROOT_ID", "GRID_ID"]
        places[row_id] = {
            "type": "ROW", "id": row_id, "parents": parents, "meta": {"background": "BACKGROUND_TRANSPARENT"},
            "children": [f"CHART-{_slug(title)}" for title in row],
        }  # fmt: skip
        for title, (_, width, _) in row.items():
            place = f"CHART-{_slug(title)}"
            places[place] = {
                "type": "CHART", "id": place, "children": [], "parents": [*parents, row_id],
                "meta": {"chartId": 0, "uuid": _uuid("chart", title), "width": width, "height": 20 if is_short else 48,
                         "sliceName": title},
            }  # fmt: skip
    return {
        "dashboard_title": "Journey: what breaks, and what it costs", "slug": "journey", "uuid": _uuid("dashboard"),
        "published": True, "position": places, "metadata": {"cross_filters_enabled": True}, "version": _VERSION,
    }  # fmt: skip


def _slug(title: str) -> str:
    return "_".join("".join(c if c.isalnum() else " " for c in title.lower()).split())


if __name__ == "__main__":
    shutil.rmtree(BUNDLE, ignore_errors=True)
    for path, text in files().items():
        file = BUNDLE / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
