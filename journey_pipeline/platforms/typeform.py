"""Typeform: which forms were filled in, by whom, and what a survey scored.

Reads   /forms, /forms/{id}/responses (form by form)
Says    leads: one per response; surveys: one per response to a form listed under `surveys`, which is then no lead
Cursor  `since` on the time of submission, form by form, two hours back: the newest responses show up late.
        Within a form newest first, each page `before` the last token; `sort` can't be combined with it.
        The first page states how many there are, so a page lost on the way makes the load partial.
Joins   e-mail, phone and name from the answers, else from hidden fields; `utm_source`, `utm_medium`, `utm_campaign`
        and `product_ref` from hidden fields; a hidden value like `stripe:cus_1` names the same person.
Needs   TYPEFORM_TOKEN, a personal token with the scopes forms:read and responses:read. For accounts in the EU:
        `base_url: https://api.eu.typeform.com`.
Assumes A name's question has one of `name_refs` as its ref: Typeform has no type of its own for names.
        Only completed responses are asked for (Typeform's default). A response deleted in Typeform stays with us:
        the API doesn't tell. `since` and `before` may be combined. 2 requests a second: 429s are waited out.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import polars as pl

from journey_pipeline.expressions import spelled
from journey_pipeline.platforms import base, translate
from journey_pipeline.platforms.base import Platform, Pull, Raw, Resource, Row
from journey_pipeline.platforms.http import Api, bearer, by_cursor, by_page

FORMS_PER_PAGE = 200
RESPONSES_PER_PAGE = 1000
OVERLAP = timedelta(hours=2)
SCORES = ("nps", "opinion_scale", "rating")
NO_KEYS = "utm_.*|product_ref"


class Options(base.Options):
    """Options of Typeform."""

    base_url: str = "https://api.typeform.com"
    forms: tuple[str, ...] = ()
    """Ids of the forms to read; empty: all."""
    surveys: Mapping[str, str] = {}
    """Id of a form -> the instrument that it is (`nps`, `csat` or a name)."""
    name_refs: tuple[str, ...] = ("name", "full_name", "first_name", "last_name")
    """Refs of the questions whose answers, joined by a space, are the name."""


def forms(pull: Pull) -> Iterator[list[Row]]:
    yield from _forms(_api(pull), total="total_items")


def responses(pull: Pull) -> Iterator[list[Row]]:
    api = _api(pull)
    wanted = {*pull.options.forms, *pull.options.surveys} if pull.options.forms else set[str]()
    listed = sorted(wanted) or [row["id"] for rows in _forms(api) for row in rows]
    for form in listed:
        pages = api.rows(
            f"/forms/{form}/responses",
            by=by_cursor("items[-1].token", "before", until_empty=True),
            rows="items",
            total="total_items",
            params={"page_size": RESPONSES_PER_PAGE, "until": _second(pull.loaded_at), **_since(pull.left.get(form))},
        )
        for rows in pages:
            yield [{**row, "form_id": form} for row in rows]
    pull.leave(**{**pull.left, **dict.fromkeys(listed, pull.loaded_at.isoformat())})


def read(raw: Raw, options: Options) -> Mapping[str, pl.LazyFrame]:
    """Raw responses, of all versions, as leads and surveys."""
    titles = translate.newest(raw["forms"], "id").select("id", "title")
    instruments = pl.LazyFrame(
        {"form_id": list(options.surveys), "instrument": list(options.surveys.values())},
        schema={"form_id": pl.String, "instrument": pl.String},
    )
    answered = (
        raw["responses"]
        .filter(pl.col("response_type").fill_null("completed") == "completed", _is_wanted(options))
        .join(titles, left_on="form_id", right_on="id", how="left", validate="m:1")
        .join(instruments, on="form_id", how="left", validate="m:1")
    )
    person = {
        "record_id": pl.coalesce("token", "response_id"),
        "occurred_at": translate.iso(pl.col("submitted_at")),
        "email": pl.coalesce(_answer("type", "email", "email"), _hidden("email")),
        "phone": pl.coalesce(_answer("type", "phone_number", "phone_number"), _hidden("phone")),
        "name": pl.coalesce(_name(options), _hidden("name")),
        "keys": translate.keys_in("hidden", but=NO_KEYS),
        "url": spelled("https://admin.typeform.com/form/{}/results#responses", "form_id"),
        "is_test": pl.lit(value=False),
    }
    lead = {
        "form": pl.coalesce("title", "form_id"),
        "source": _hidden("utm_source"),
        "medium": _hidden("utm_medium"),
        "campaign": _hidden("utm_campaign"),
        "product_ref": translate.ref(_hidden("product_ref")),
    }
    survey = {
        "instrument": pl.col("instrument"),
        "score": pl.coalesce(_answer("field.type", t, "number") for t in SCORES).cast(pl.Float64, strict=False),
        "comment": _answer("field.type", "long_text", "text"),
    }
    is_survey = pl.col("instrument").is_not_null()
    return {
        "leads": translate.records(answered.filter(~is_survey), {**person, **lead}),
        "surveys": translate.records(answered.filter(is_survey), {**person, **survey}),
    }


def _api(pull: Pull) -> Api:
    return Api(pull, pull.options.base_url, auth=bearer(pull.secrets["TYPEFORM_TOKEN"]))


def _forms(api: Api, total: str | None = None) -> Iterator[list[Row]]:
    paged = {"page_size": FORMS_PER_PAGE}
    return api.rows("/forms", by=by_page(pages="page_count"), rows="items", total=total, params=paged)


def _since(loaded_at: str | None) -> dict[str, str]:
    return {"since": _second(datetime.fromisoformat(loaded_at) - OVERLAP)} if loaded_at else {}


def _second(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_wanted(options: Options) -> pl.Expr:
    wanted = [*options.forms, *options.surveys] if options.forms else None
    return pl.lit(value=True) if wanted is None else pl.col("form_id").is_in(wanted)


def _answer(where: str, value: str, part: str) -> pl.Expr:
    """The first answer whose `where` is `value`."""
    return translate.path("answers", f'$[?(@.{where}=="{value}")].{part}')


def _hidden(name: str) -> pl.Expr:
    given = translate.path("hidden", f"$.{name}").str.strip_chars()
    return pl.when(given != "").then(given)


def _name(options: Options) -> pl.Expr:
    parts = pl.concat_str(
        [_answer("field.ref", ref, "text") for ref in options.name_refs], separator=" ", ignore_nulls=True
    )
    return pl.when(parts != "").then(parts)


PLATFORM = Platform(
    name="typeform",
    title="Typeform",
    resources=(
        Resource("forms", "snapshot", forms, columns=("id", "title"), scope="forms:read"),
        Resource(
            "responses",
            "changes",
            responses,
            columns=("token", "response_id", "form_id", "response_type", "submitted_at", "answers", "hidden"),
            lag=timedelta(minutes=30),
            scope="forms:read and responses:read",
        ),
    ),
    says={"leads": ("responses", "forms"), "surveys": ("responses", "forms")},
    read=read,
    options=Options,
    secrets=("TYPEFORM_TOKEN",),
    spec="third party",
    verified="Against a stateful fake and a third party's OpenAPI description, never against a live account.",
)
