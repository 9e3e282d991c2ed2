"""`journey init`: what it asks, what it writes, and that what it writes loads."""

import io
import sys
from pathlib import Path

import pytest

from journey_pipeline import cli, platforms
from journey_pipeline.settings import load


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        cli.main(["init", *arguments])
    return int(left.value.code or 0)


GIVEN = ("--name", 'North "wind" Academy', "--timezone", "Europe/Berlin", "--currency", "eur")


def test_what_is_given_is_written_and_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(*GIVEN, "--platforms", "stripe, hubspot,zendesk,files,database") == 0
    settings = load(tmp_path / "journey.yaml")
    assert (settings.business.name, settings.business.timezone, settings.business.currency) == (
        'North "wind" Academy', "Europe/Berlin", "EUR",
    )  # fmt: skip
    assert list(settings.platforms) == ["stripe", "hubspot", "zendesk"]
    text = (tmp_path / "journey.yaml").read_text()
    assert '    subdomain: ""  # `northwind` of northwind.zendesk.com.' in text
    assert "  #   type: files\n" in text
    assert "  #   type: database\n" in text
    said = capsys.readouterr().out
    for secret in ("STRIPE_API_KEY", "HUBSPOT_TOKEN", "ZENDESK_EMAIL, ZENDESK_API_TOKEN"):
        assert secret in said
    assert said.endswith("Then: journey doctor\n")


@pytest.mark.parametrize("name", platforms.CATALOGUE)
def test_every_platform_of_the_catalogue_can_be_written(tmp_path: Path, name: str) -> None:
    file = tmp_path / "journey.yaml"
    assert run(*GIVEN, "--platforms", name, "--settings", str(file)) == 0
    assert list(load(file).platforms) == ([] if platforms.get(name).made else [name])


def test_it_asks_part_by_part_and_offers_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    answers = ["Northwind", "", "", "", "", "typeform hubspot", "", *[""] * 11]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(answers) + "\n"))
    assert run() == 0
    assert list(load(tmp_path / "journey.yaml").platforms) == ["typeform", "hubspot"]
    said = capsys.readouterr().out
    assert said.count("hubspot") == 1
    assert "surveys" not in said  # typeform, its only platform, is chosen already
    assert said.index("ads and social") < said.index("checkout and payments") < said.index("support")


def test_a_file_that_is_there_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "journey.yaml"
    file.write_text("mine")
    assert run(*GIVEN, "--platforms", "stripe", "--settings", str(file)) == 2
    assert file.read_text() == "mine"
    assert "journey.yaml is there already, and is left as it is" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--platforms", "strip"), "there is no platform 'strip'; did you mean stripe?"),
        (("--timezone", "Europe/Berln", "--platforms", ""), "'Europe/Berln' is no time zone; did you mean Europe/Berlin?"),
        (("--currency", "euros", "--platforms", ""), "'euros' is no currency; allowed: three letters, like USD"),
    ],
)  # fmt: skip
def test_an_answer_that_is_none_is_refused_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], sentence: str
) -> None:
    file = tmp_path / "journey.yaml"
    given = dict(zip(GIVEN[::2], GIVEN[1::2], strict=True)) | dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert run(*(part for pair in given.items() for part in pair), "--settings", str(file)) == 2
    assert sentence in capsys.readouterr().err
    assert not file.exists()
