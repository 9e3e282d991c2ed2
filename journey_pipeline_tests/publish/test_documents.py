"""What is generated is fresh: the dictionary and the Superset bundle."""

import yaml

from journey_pipeline.publish import views_folder
from journey_pipeline.registry import TABLES
from journey_pipeline_tests.publish import bundle, document


def test_the_dictionary_is_fresh_and_has_every_table_and_view() -> None:
    page = document.DOCUMENT.read_text(encoding="utf-8")
    assert page == document.document(), "run: python -m journey_pipeline_tests.publish.document"
    for heading in (*(f"journey.{name}" for name in TABLES), *(f"bi.{f.stem}" for f in views_folder().glob("*.sql"))):
        assert f"\n## {heading}\n" in page


def test_the_superset_bundle_is_fresh() -> None:
    held = {str(f.relative_to(bundle.BUNDLE)): f.read_text("utf-8") for f in bundle.BUNDLE.rglob("*.yaml")}
    assert held == bundle.files(), "run: python -m journey_pipeline_tests.publish.bundle"


def test_every_chart_reads_columns_that_its_view_has_and_none_that_is_personal() -> None:
    files = {path: yaml.safe_load(text) for path, text in bundle.files().items()}
    datasets = {
        d["uuid"]: {c["column_name"] for c in d["columns"]} for p, d in files.items() if p.startswith("datasets")
    }
    charts = {c["uuid"]: c for p, c in files.items() if p.startswith("charts")}
    assert len(charts) == 15
    for chart in charts.values():
        named = {*chart["params"].get("all_columns", []), *chart["params"].get("groupby", [])}
        assert named <= datasets[chart["dataset_uuid"]], chart["slice_name"]
    placed = [
        p["meta"]["uuid"] for p in files["dashboards/journey.yaml"]["position"].values() if "CHART" in str(p)[:20]
    ]
    assert sorted(placed) == sorted(charts)
    assert not any({"email", "name", "phone"} & columns for columns in datasets.values())
