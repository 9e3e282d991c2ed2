"""Mailchimp's Marketing API over a world, and under `/transactional` that of Mailchimp Transactional (Mandrill).

A message whose id is `<campaign>:<MD5 of the address>` went out with that campaign, every other one is a transactional
mail. Strict about keys, page sizes, parameters and body fields; Transactional forgets after 30 days (bounces: 90).
"""

import hashlib
import re
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from journey_pipeline.sandbox.fakes import parts
from journey_pipeline.sandbox.world import World

SECRETS = {"MAILCHIMP_API_KEY": "sandbox-us1", "MANDRILL_API_KEY": "md-sandbox"}
LARGEST_PAGE = 1000
LONGEST_ANSWER = 1000
KEPT, BOUNCES_KEPT = timedelta(days=30), timedelta(days=90)
_PAGING = ("count", "offset", "fields")
_ORDER = ("sort_field", "sort_dir")
_SEARCH = ("key", "query", "date_from", "date_to", "tags", "senders", "api_keys", "limit")
_RANGE = re.compile(r"ts:\[(\d+) TO (\d+)\]")

Row = Mapping[str, Any]


class _Account:
    """What the account holds, rendered anew when its frames or the time change."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._seen: tuple[Any, ...] = ()

    def fresh(self) -> "_Account":
        seen = (self._world.records.get("consents"), self._world.records.get("messages"), self._world.now)
        if len(self._seen) != len(seen) or any(a is not b for a, b in zip(seen, self._seen, strict=True)):
            self._render()
            self._seen = seen
        return self

    def _render(self) -> None:
        listed = [*self._world.of("consents", "mailchimp").sort("record_id").iter_rows(named=True)]
        sent = [*self._world.of("messages", "mailchimp").sort("occurred_at", "record_id").iter_rows(named=True)]
        self.members: dict[str, list[Row]] = {_bare(row["list_ref"]): [] for row in listed}
        for row in listed:
            self.members[_bare(row["list_ref"])].append(_member(row))
        self.home = next(iter(self.members), "a1b2c3d4e5")
        self.sends: dict[str, list[Row]] = {}
        self.mails = []
        for row in sent:
            template = _bare(row["template_ref"] or "")
            if template and row["record_id"].startswith(f"{template}:"):
                self.sends.setdefault(template, []).append(row)
            elif self._world.now - row["occurred_at"] <= (BOUNCES_KEPT if row["bounced_at"] else KEPT):
                self.mails.append(_mail(row))
        self.mails.reverse()
        self.campaigns = [_campaign(name, rows[0]["occurred_at"], self.home) for name, rows in self.sends.items()]
        self.opt_outs = self._opt_outs(listed)

    def _opt_outs(self, listed: Iterable[Row]) -> Mapping[str, list[Row]]:
        """Campaign -> who of its list opted out after it, before the next one."""
        found: dict[str, list[Row]] = {name: [] for name in self.sends}
        times = [(rows[0]["occurred_at"], name) for name, rows in self.sends.items()]
        got = {name: {row["record_id"].partition(":")[2] for row in rows} for name, rows in self.sends.items()}
        for (at, name), (until, _) in pairwise([*times, (datetime.max.replace(tzinfo=UTC), "")]):
            for row in listed:
                list_id, _, member = row["record_id"].partition(":")
                left = row["state"] == "unsubscribed" and at <= row["occurred_at"] < until
                if left and list_id == self.home and member in got[name]:
                    opt_out = {"timestamp": _iso(row["occurred_at"]), "reason": "NORMAL (no longer interested)"}
                    found[name].append({**_recipient(name, list_id, member, row), **opt_out})
        return found


def _bare(ref: str) -> str:
    return ref.removeprefix("mailchimp:")


def web_id(text: str) -> int:
    """The number that Mailchimp's web application goes by."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)


def _merge_fields(row: Row) -> dict[str, Any]:
    first, _, last = (row["name"] or "").partition(" ")
    others = [key for key in row["keys"] or () if not key.startswith("mailchimp:")]
    named = {"FNAME": first, "LNAME": last, "PHONE": row["phone"] or ""}
    return named | {f"REF{number}": key for number, key in enumerate(others)}


def _member(row: Row) -> dict[str, Any]:
    list_id, _, member = row["record_id"].partition(":")
    joined = row["occurred_at"] if row["state"] == "subscribed" else row["occurred_at"] - timedelta(days=30)
    return {
        "id": member,
        "list_id": list_id,
        "web_id": web_id(row["record_id"]),
        "contact_id": member[:16],
        "unique_email_id": member[:10],
        "email_address": row["email"],
        "full_name": row["name"] or "",
        "email_type": "html",
        "status": row["state"],
        "merge_fields": _merge_fields(row),
        "timestamp_signup": "",
        "timestamp_opt": _iso(joined),
        "last_changed": _iso(row["changed_at"]),
        "ip_opt": "192.0.2.1",
        "vip": False,
    }


def _campaign(name: str, sent_at: datetime, list_id: str) -> dict[str, Any]:
    return {
        "id": name,
        "web_id": web_id(name),
        "type": "regular",
        "status": "sent",
        "create_time": _iso(sent_at - timedelta(days=1)),
        "send_time": _iso(sent_at),
        "recipients": {"list_id": list_id, "list_name": "Everybody", "recipient_count": 0},
        "settings": {"title": f"Campaign {name}", "subject_line": "News"},
    }


def _recipient(campaign: str, list_id: str, member: str, row: Row) -> dict[str, Any]:
    return {
        "email_id": member,
        "email_address": row["email"],
        "merge_fields": _merge_fields(row),
        "vip": False,
        "campaign_id": campaign,
        "list_id": list_id,
        "list_is_active": True,
    }


def _sent_to(row: Row, list_id: str) -> dict[str, Any]:
    campaign, _, member = row["record_id"].partition(":")
    return {
        **_recipient(campaign, list_id, member, row),
        "status": "hard" if row["bounced_at"] else "sent",
        "open_count": int(row["opened_at"] is not None),
        "last_open": _iso(row["opened_at"]) or "",
        "absplit_group": "",
        "gmt_offset": 0,
    }


def _activity(row: Row, list_id: str) -> dict[str, Any]:
    campaign, _, member = row["record_id"].partition(":")
    acts = [("open", row["opened_at"]), ("click", row["clicked_at"]), ("bounce", row["bounced_at"])]
    # What was opened once is opened again: only the first time counts.
    again = [("open", row["opened_at"] + timedelta(hours=3))] if row["opened_at"] else []
    told = [
        {"action": action, "timestamp": _iso(at), "ip": "192.0.2.1"}
        | ({"type": "hard"} if action == "bounce" else {})
        | ({"url": "https://northwind.example"} if action == "click" else {})
        for action, at in (*again, *acts)
        if at
    ]
    person = _recipient(campaign, list_id, member, row)
    return {k: v for k, v in person.items() if k not in ("merge_fields", "vip")} | {"activity": told}


def _mail(row: Row) -> dict[str, Any]:
    state = "bounced" if row["bounced_at"] else "sent" if row["delivered_at"] else "queued"
    looked = {"ip": "192.0.2.1", "location": "Nowhere", "ua": "sandbox"}
    smtp = {"diag": "", "source_ip": "192.0.2.2", "destination_ip": "192.0.2.3", "size": 1000}
    handed = [("sent", row["delivered_at"]), ("bounced", row["bounced_at"])]
    return {
        "ts": int(row["occurred_at"].timestamp()),
        "_id": row["record_id"],
        "sender": "team@northwind.example",
        "template": _bare(row["template_ref"]) if row["template_ref"] else None,
        "subject": "A mail",
        "email": row["email"],
        "tags": [] if row["purpose"] == "other" else ["northwind", row["purpose"]],
        "opens": int(row["opened_at"] is not None),
        "opens_detail": [{"ts": int(row["opened_at"].timestamp()), **looked}] if row["opened_at"] else [],
        "clicks": int(row["clicked_at"] is not None),
        "clicks_detail": [{"ts": int(row["clicked_at"].timestamp()), "url": "https://northwind.example", **looked}]
        if row["clicked_at"]
        else [],
        "state": state,
        "metadata": {f"ref_{number}": key for number, key in enumerate(row["keys"] or ())},
        "smtp_events": [{"ts": int(at.timestamp()), "type": kind, **smtp} for kind, at in handed if at],
        "diag": None,
        "subaccount": None,
        "resends": [],
        "reject": None,
    }


def _iso(instant: datetime | None) -> str | None:
    return instant.strftime("%Y-%m-%dT%H:%M:%S+00:00") if instant else None


def _page(
    name: str, rows: Sequence[Row], params: Mapping[str, str], told: Callable[[Row], Row] = dict, **more: Any
) -> JSONResponse:
    count, offset = int(params.get("count", 10)), int(params.get("offset", 0))
    if not 1 <= count <= LARGEST_PAGE or offset < 0:
        raise HTTPException(400, f"count must be 1 to {LARGEST_PAGE}, offset not negative")
    shown = [told(row) for row in rows[offset : offset + count]]
    body = {name: shown, **more, "total_items": len(rows), "_links": []}
    return JSONResponse(_only(body, params["fields"].split(",")) if "fields" in params else body)


def _only(node: Any, fields: Sequence[str]) -> Any:
    """The parts of an answer that `fields` name, by dotted paths that pass through lists."""
    if isinstance(node, list):
        return [_only(part, fields) for part in node]
    if not isinstance(node, dict):
        return node
    deeper: dict[str, list[str]] = {}
    for field in fields:
        head, _, rest = field.partition(".")
        deeper.setdefault(head, []).append(rest)
    return {
        name: value if "" in deeper[name] else _only(value, deeper[name])
        for name, value in node.items()
        if name in deeper
    }


def _between(rows: Iterable[Row], params: Mapping[str, str], field: str) -> list[Row]:
    """Strictly after `since_…`, strictly before `before_…`."""
    since, before = params.get(f"since_{field}", ""), params.get(f"before_{field}", "9999")
    return [row for row in rows if since < row[field] < before]


def _ordered(rows: list[Row], params: Mapping[str, str], fields: Sequence[str]) -> list[Row]:
    field = params.get("sort_field")
    if field is None:
        return rows
    if field not in fields or params.get("sort_dir", "ASC") not in ("ASC", "DESC"):
        raise HTTPException(400, "unknown sort_field or sort_dir")
    return sorted(rows, key=lambda row: str(row[field]), reverse=params.get("sort_dir") == "DESC")


def app(world: World) -> Starlette:
    """Both APIs."""
    account = _Account(world)
    expected = "Basic " + b64encode(f"key:{SECRETS['MAILCHIMP_API_KEY']}".encode()).decode()

    def endpoint(answer: Callable[[Request, _Account], JSONResponse]) -> Callable[[Request], Awaitable[JSONResponse]]:
        async def guarded(request: Request) -> JSONResponse:
            if request.headers.get("Authorization") != expected:
                raise HTTPException(
                    401, "Your API key may be invalid, or you've attempted to access the wrong datacenter."
                )
            return answer(request, account.fresh())

        return guarded

    async def search(request: Request) -> JSONResponse:
        asked = await parts.body(request, _SEARCH)
        if asked.get("key") != SECRETS["MANDRILL_API_KEY"]:
            raise HTTPException(401, "Invalid API key")
        return _search(asked, account.fresh())

    transactional = Starlette(
        routes=[Route("/messages/search", search, methods=["POST"])],
        exception_handlers={HTTPException: _mandrill_error},
    )
    return Starlette(
        routes=[
            Route("/lists", endpoint(_lists)),
            Route("/lists/{list_id}/members", endpoint(_members)),
            Route("/campaigns", endpoint(_campaigns)),
            Route("/reports/{campaign}/{report}", endpoint(_report)),
            Mount("/transactional", app=transactional),
        ],
        exception_handlers={HTTPException: _marketing_error},
    )


def _lists(request: Request, account: _Account) -> JSONResponse:
    lists = [{"id": name, "web_id": web_id(name), "name": f"List {name}"} for name in account.members]
    return _page("lists", lists, parts.parameters(request, _PAGING))


def _members(request: Request, account: _Account) -> JSONResponse:
    params = parts.parameters(request, (*_PAGING, *_ORDER, "since_last_changed", "before_last_changed"))
    name = request.path_params["list_id"]
    if name not in account.members:
        raise HTTPException(404, "The requested resource could not be found.")
    changed = _between(account.members[name], params, "last_changed")
    return _page("members", _ordered(changed, params, ("last_changed", "timestamp_opt")), params, list_id=name)


def _campaigns(request: Request, account: _Account) -> JSONResponse:
    params = parts.parameters(request, (*_PAGING, *_ORDER, "status", "since_send_time", "before_send_time"))
    if params.get("status", "sent") != "sent":
        return _page("campaigns", [], params)
    sent = _between(account.campaigns, params, "send_time")
    return _page("campaigns", _ordered(sent, params, ("send_time", "create_time")), params)


def _report(request: Request, account: _Account) -> JSONResponse:
    params = parts.parameters(request, _PAGING)
    campaign, report = request.path_params["campaign"], request.path_params["report"]
    if campaign not in account.sends or report not in ("sent-to", "email-activity", "unsubscribed"):
        raise HTTPException(404, "The requested resource could not be found.")
    if report == "unsubscribed":
        return _page("unsubscribes", account.opt_outs[campaign], params, campaign_id=campaign)
    name, told = ("sent_to", _sent_to) if report == "sent-to" else ("emails", _activity)
    return _page(name, account.sends[campaign], params, partial(told, list_id=account.home), campaign_id=campaign)


def _search(asked: Row, account: _Account) -> JSONResponse:
    limit, query = int(asked.get("limit", 100)), asked.get("query", "*")
    window = _RANGE.fullmatch(query)
    if not 1 <= limit <= LONGEST_ANSWER or (query != "*" and not window):
        raise HTTPException(400, "Validation error")
    first, last = (int(second) for second in window.groups()) if window else (0, 2**40)
    since, until = (date.fromisoformat(asked[name]) for name in ("date_from", "date_to"))
    found = [
        mail
        for mail in account.mails
        if first <= mail["ts"] <= last and since <= datetime.fromtimestamp(mail["ts"], UTC).date() <= until
    ]
    return JSONResponse(found[:limit])


async def _marketing_error(request: Request, error: Exception) -> JSONResponse:
    known = error if isinstance(error, HTTPException) else HTTPException(500)
    problem = {
        "type": "https://mailchimp.com/developer/marketing/docs/errors/",
        "title": "API Key Invalid" if known.status_code == 401 else "Refused",  # noqa: PLR2004
        "status": known.status_code,
        "detail": known.detail,
        "instance": request.url.path,
    }
    return JSONResponse(problem, known.status_code)


async def _mandrill_error(_request: Request, error: Exception) -> JSONResponse:
    known = error if isinstance(error, HTTPException) else HTTPException(500)
    is_key = known.status_code == 401  # noqa: PLR2004
    name, code = ("Invalid_Key", 401) if is_key else ("ValidationError", -2)
    body = {"status": "error", "code": code, "name": name, "message": known.detail}
    return JSONResponse(body, known.status_code)
