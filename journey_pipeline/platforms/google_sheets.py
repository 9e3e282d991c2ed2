"""Google Sheets: what a department keeps in a shared spreadsheet.

Reads   /spreadsheets/d/{id}/export as CSV, for sheets that anyone with the link may see; or, with
        `access: service_account`, /v4/spreadsheets/{id} and its values through the Sheets API. In both cases `tables`
        holds the link as the browser shows it, `#gid=` and all.
Says    the kinds named under `records`: a sheet that has the kind's columns, or SQL over the sheets, exactly as the
        files platform does (there: Says).
Cursor  none: each sheet is a full list, and what the newest one lacks is gone.
Money   as the SQL says; minor units.
Joins   as the SQL says; keys as `platform:id`.
Needs   for `access: link` nothing but the link. For `access: service_account` GOOGLE_SERVICE_ACCOUNT_KEY, the JSON key of
        a service account (Google Cloud console, Sheets API enabled), with whose address the spreadsheet is shared.
Assumes the first line of a sheet names its columns. Through the API numbers come as they are, dates as they are shown;
        through the link everything comes as it is shown, so 1,900.00 has its comma.
"""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from journey_pipeline.platforms import mapped, tabular
from journey_pipeline.platforms.base import Platform, Pull
from journey_pipeline.platforms.http import Api, service_account

SCOPE = "the sheet shared: by link with anyone, or with the service account"
VERIFIED = "Against a stateful fake written from Google's documentation, never against a live spreadsheet."
SECRET = "GOOGLE_SERVICE_ACCOUNT_KEY"  # noqa: S105 - the name of one
READ_ONLY = "https://www.googleapis.com/auth/spreadsheets.readonly"
_LINK = re.compile(r"/spreadsheets/d/([\w-]+)(?:/[^#?]*)?(?:.*?\bgid=(\d+))?")
_GOOGLES_OWN = "https://docs.google.com"


class Options(mapped.Options):
    """Options of Google Sheets: `tables` says for each sheet its link, `https://docs.google.com/spreadsheets/d/…#gid=0`."""

    access: Literal["link", "service_account"] = "link"
    """How the sheets are shared."""
    base_url: str = _GOOGLES_OWN
    """Where links are asked; elsewhere than at Google, the API too."""


def made(name: str, options: Options, folder: Path) -> Platform:
    """The platform of that name."""
    secrets = (SECRET,) if options.access == "service_account" else ()
    return mapped.platform(name, options, folder, reader=_sheet, scope=SCOPE, verified=VERIFIED, secrets=secrets)


def mistakes(options: Options, folder: Path) -> list[tuple[str, str]]:
    """What is wrong with the options beside their types: (dotted path, sentence)."""
    odd = [
        (f"tables.{table}", f"{link!r} is no link of a spreadsheet; like {_GOOGLES_OWN}/spreadsheets/d/1AbC/edit#gid=0")
        for table, link in options.tables.items()
        if not _LINK.search(link)
    ]
    return odd + mapped.mistakes(options, folder)


def _sheet(pull: Pull, link: str, _folder: Path) -> Iterator[mapped.Part]:
    spreadsheet, gid = _LINK.search(link).groups("0")  # type: ignore[union-attr] # `mistakes` has seen to it
    by = _exported if pull.options.access == "link" else _asked
    columns, rows = tabular.table(by(pull, spreadsheet, gid), pull.what)
    yield columns, iter([list(rows)])


def _exported(pull: Pull, spreadsheet: str, gid: str) -> tabular.Lines:
    api = Api(pull, pull.options.base_url)
    kind, text = api.text(f"/spreadsheets/d/{spreadsheet}/export", params={"format": "csv", "gid": gid})
    if not kind.startswith("text/csv"):  # a page to log in
        sentence = "is not shared with anyone who has the link; share it so, or use `access: service_account`."
        raise api.refused(sentence)
    return tabular.csv_lines(io.StringIO(text, newline=""), pull.what)


def _asked(pull: Pull, spreadsheet: str, gid: str) -> tabular.Lines:
    o: Options = pull.options
    is_google = o.base_url == _GOOGLES_OWN
    token_url = "" if is_google else f"{o.base_url}/token"
    auth = service_account(pull, pull.secrets[SECRET], READ_ONLY, token_url)
    api = Api(pull, "https://sheets.googleapis.com" if is_google else o.base_url, auth=auth)
    there = api.get(f"/v4/spreadsheets/{spreadsheet}", params={"fields": "sheets.properties(sheetId,title)"})
    titles = {str(s["properties"]["sheetId"]): s["properties"]["title"] for s in there["sheets"]}
    if gid not in titles:
        sentence = f"the spreadsheet has no sheet of gid {gid}; copy the link again, standing on that sheet."
        raise api.refused(sentence)
    title = titles[gid].replace("'", "''")
    shown = {"valueRenderOption": "UNFORMATTED_VALUE", "dateTimeRenderOption": "FORMATTED_STRING"}
    values = api.get(f"/v4/spreadsheets/{spreadsheet}/values/'{title}'", params=shown).get("values", [])
    width = max((len(cells) for cells in values), default=0)
    # Empty cells at the end of a line are left out.
    return ((n, [_cell(c) for c in cells] + [None] * (width - len(cells))) for n, cells in enumerate(values, 1))


def _cell(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return None if value in ("", None) else str(value)


PLATFORM = Platform(
    "google_sheets", (), {}, lambda _raw, _options: {}, Options, title="Google Sheets", verified=VERIFIED, made=made,
    mistakes=mistakes,
)  # fmt: skip
