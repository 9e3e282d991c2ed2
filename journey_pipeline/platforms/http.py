"""HTTP for all platforms: one client with retries, the kinds of auth and of paging, one place for failures' sentences.

Every list is paged by an explicit paginator: dlt's guess is wrong for most vendors.
"""

import json
import math
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from functools import partial, reduce
from typing import TYPE_CHECKING, Any

from journey_pipeline.errors import SourceError
from journey_pipeline.platforms.base import Pull

if TYPE_CHECKING:
    from dlt.sources.helpers.rest_client.paginators import BasePaginator
    from requests import PreparedRequest, Response

RETRIED = (408, 429, *range(500, 600))
ATTEMPTS = 5
BACKOFF_S = 1.0
LONGEST_WAIT_S = 120.0
_WAITS = ("RateLimit-Reset", "X-RateLimit-Reset", "X-RateLimit-Retry-After")
_LONGEST_NAMED_S = 86_400
_RENEWED_BEFORE_S = 60  # a token may run out between our looking and the vendor's

_ADVICE = {
    400: "the request was refused as malformed; the platform may have changed its API",
    401: "the key was refused; check the secret and renew it",
    403: "the key lacks a permission; grant the read scope for this resource",
    404: "not found; check the account, host or id in journey.yaml",
    422: "the request was refused; check the options of this platform in journey.yaml",
}

Auth = Callable[["PreparedRequest"], "PreparedRequest"]
Meaning = Callable[["Response"], int]
"""The status that an answer means, for vendors that limit or refuse with 200 or 400 and words of their own."""


class RefusalError(SourceError):
    """A permanent no, and the `status` that it came with or means: for modules that know a way round it."""

    def __init__(self, sentence: str, status: int) -> None:
        self.status = status
        super().__init__(sentence, is_transient=False)


def bearer(token: str) -> Auth:
    """`Authorization: Bearer …`."""
    return in_headers(Authorization=f"Bearer {token}")


def in_headers(**values: str) -> Auth:
    """Keys in headers; `_` in a name stands for `-`."""

    def signed(request: "PreparedRequest") -> "PreparedRequest":
        request.headers.update({name.replace("_", "-"): value for name, value in values.items()})
        return request

    return signed


def basic(user: str, password: str) -> Auth:
    """`Authorization: Basic …`."""
    from requests.auth import HTTPBasicAuth  # noqa: PLC0415 - slow to import, as all that follows

    auth: Auth = HTTPBasicAuth(user, password)
    return auth


def granted(token: Callable[[], Mapping[str, Any]]) -> Auth:
    """A bearer token that is asked for when it is needed, and again before it runs out.

    `token` gives the vendor's answer: `access_token`, and `expires_in` in seconds.
    """
    held, until = "", 0.0

    def signed(request: "PreparedRequest") -> "PreparedRequest":
        nonlocal held, until
        if time.monotonic() >= until:
            answer = token()
            held = str(answer["access_token"])
            until = time.monotonic() + float(answer.get("expires_in", 1800)) - _RENEWED_BEFORE_S
        request.headers["Authorization"] = f"Bearer {held}"
        return request

    return signed


def signed_jwt(private_key: str, **claims: str) -> Mapping[str, str]:
    """The form of a JWT bearer grant (RFC 7523), good for an hour: what Google's service accounts and DocuSign ask for.

    Raises:
        ValueError: if `private_key` is no RSA key in PEM form.
    """
    import jwt  # noqa: PLC0415

    now = int(time.time())
    try:
        token = jwt.encode({"iat": now, "exp": now + 3600, **claims}, private_key, algorithm="RS256")
    except jwt.PyJWTError as error:
        raise ValueError(str(error)) from error
    return {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": token}


def service_account(pull: Pull, key_file: str, scope: str, token_url: str = "") -> Auth:
    """A Google service account: `key_file` is the text of its JSON key, as the console gives it.

    `token_url`: where tokens are granted, if not where the key says.

    Raises:
        SourceError: permanent, if it is no such key.
    """
    try:
        key = json.loads(key_file)
        granter = token_url or key["token_uri"]
        claims = {"iss": key["client_email"], "scope": scope, "aud": granter}
        form = partial(signed_jwt, key["private_key"], **claims)
        form()
    except (ValueError, KeyError, TypeError) as error:
        sentence = f"{pull.what}: the key is no JSON key of a service account; paste the whole file that Google gave."
        raise SourceError(sentence, is_transient=False) from error
    return granted(lambda: Api(pull, granter).post("", form=form()))


def by_cursor(path: str, param: str, *, more: str | None = None, until_empty: bool = False) -> "BasePaginator":
    """The answer has at JSON path `path` what the next request says as `param`; `more`: path of "there is more"."""
    from dlt.sources.helpers.rest_client.paginators import JSONResponseCursorPaginator  # noqa: PLC0415

    return JSONResponseCursorPaginator(path, param, stop_after_empty_page=until_empty, has_more_path=more)


def by_cursor_in_body(path: str, field: str, *, more: str | None = None, until_empty: bool = False) -> "BasePaginator":
    """As `by_cursor`, for a POST: `field` is the JSON path in the body of the next request."""
    from dlt.sources.helpers.rest_client.paginators import JSONResponseCursorPaginator  # noqa: PLC0415

    return JSONResponseCursorPaginator(
        path, cursor_body_path=field, stop_after_empty_page=until_empty, has_more_path=more
    )


def by_page(
    param: str | None = "page", *, pages: str | None = None, more: str | None = None, field: str | None = None
) -> "BasePaginator":
    """Pages from 1 on; `pages`: path of how many there are, `more`: of "there is more"; neither: until an empty one.

    `field` instead of `param`: the JSON path in the body of a POST.
    """
    from dlt.sources.helpers.rest_client.paginators import PageNumberPaginator  # noqa: PLC0415

    return PageNumberPaginator(
        base_page=1, page_param=None if field else param, total_path=pages, has_more_path=more, page_body_path=field
    )


def by_counted_page(header: str) -> "BasePaginator":
    """Pages from 1 on, `page` in the query; the header says how many there are, without it until an empty one."""
    from dlt.sources.helpers.rest_client.paginators import PageNumberPaginator  # noqa: PLC0415

    class Counted(PageNumberPaginator):
        def update_state(self, response: "Response", data: list[Any] | None = None) -> None:
            super().update_state(response, data)
            if header in response.headers:
                self._has_next_page = self.current_value <= int(response.headers[header])

    return Counted(base_page=1, page_param="page", total_path=None)


def by_offset(
    limit: int,
    *,
    offset_param: str = "offset",
    limit_param: str = "limit",
    total: str | None = None,
    more: str | None = None,
    in_body: bool = False,
) -> "BasePaginator":
    """`limit` rows from an offset on; `total`: path of how many rows there are; else until an empty page."""
    from dlt.sources.helpers.rest_client.paginators import OffsetPaginator  # noqa: PLC0415

    names = (offset_param, limit_param)
    (offset, most), (offset_field, most_field) = ((None, None), names) if in_body else (names, (None, None))
    return OffsetPaginator(
        limit,
        offset_param=offset,
        limit_param=most,
        total_path=total,
        has_more_path=more,
        offset_body_path=offset_field,
        limit_body_path=most_field,
    )


def by_link(path: str) -> "BasePaginator":
    """The answer has the address of the next page at JSON path `path`, whole or from the host on."""
    from dlt.sources.helpers.rest_client.paginators import JSONLinkPaginator  # noqa: PLC0415

    return JSONLinkPaginator(path)


def by_header() -> "BasePaginator":
    """The next page's address stands in the `Link` header, rel=next."""
    from dlt.sources.helpers.rest_client.paginators import HeaderLinkPaginator  # noqa: PLC0415

    return HeaderLinkPaginator()


def in_one() -> "BasePaginator":
    """The whole list is one answer."""
    from dlt.sources.helpers.rest_client.paginators import SinglePagePaginator  # noqa: PLC0415

    return SinglePagePaginator()


class Api:
    """One vendor's HTTP API, for one pull: its source stands in error sentences, secrets never do."""

    def __init__(
        self,
        pull: Pull,
        base_url: str,
        *,
        auth: Auth | None = None,
        headers: Mapping[str, str] | None = None,
        means: Meaning | None = None,
    ) -> None:
        # dlt takes two seconds to import; nothing but an actual pull should pay for it.
        from dlt.sources.helpers.requests import Client  # noqa: PLC0415
        from dlt.sources.helpers.rest_client.client import RESTClient  # noqa: PLC0415

        session = Client(
            status_codes=RETRIED,
            request_max_attempts=ATTEMPTS,
            request_backoff_factor=BACKOFF_S,
            request_max_retry_delay=LONGEST_WAIT_S,
            raise_for_status=False,
        ).session
        weakref.finalize(self, session.close)  # else its sockets stay open until they are collected, with a warning
        self._rest = RESTClient(base_url, headers=dict(headers or {}), auth=auth, session=session)  # type: ignore[arg-type] # requests takes any callable
        self._pull = pull
        self._means = means

    def pages(
        self,
        path: str,
        *,
        by: "BasePaginator",
        rows: str,
        params: Mapping[str, Any] | None = None,
        json: Mapping[str, Any] | None = None,
    ) -> Iterator[tuple[list[dict[str, Any]], Mapping[str, Any]]]:
        """Page after page of (rows, whole body); `rows` is the JSON path of the list, `$` for the body itself.

        What a list can't say beside its rows stands in the headers: they are given for a body that is one.

        Raises:
            SourceError: transient after the retries are used up, permanent at once.
        """
        import requests  # noqa: PLC0415

        try:
            for page in self._rest.paginate(
                path,
                method="POST" if json is not None else "GET",
                params=dict(params or {}),
                json=dict(json) if json is not None else None,
                paginator=by,
                data_selector=rows,
                hooks={"response": [self._say, _name_wait, _raise]},
            ):
                body = page.response.json()
                yield list(page), body if isinstance(body, dict) else page.response.headers
        except requests.HTTPError as error:
            raise self._refusal(error.response) from None
        except requests.RequestException as error:
            raise self._unreachable(error) from error

    def rows(
        self, path: str, *, by: "BasePaginator", rows: str, total: str | None = None, **asked: Any
    ) -> Iterator[list[Mapping[str, Any]]]:
        """Page after page of rows; arguments and errors of `pages`.

        `total`: dotted path, or header of a list, of how many rows there are in all. What the first page says there is
        expected of this pull.
        """
        for number, (page, body) in enumerate(self.pages(path, by=by, rows=rows, **asked)):
            if total and number == 0:
                whole: Any = body
                stated = reduce(lambda part, name: (part or {}).get(name), total.split("."), whole)
                if stated is not None:  # proxies strip headers
                    self._pull.expected_rows = (self._pull.expected_rows or 0) + int(str(stated))
            yield list(page)

    def get(self, path: str, *, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One object.

        Raises:
            SourceError: transient after the retries are used up, permanent at once.
        """
        return self._one("GET", path, params=dict(params or {}))

    def text(self, path: str, *, params: Mapping[str, Any] | None = None) -> tuple[str, str]:
        """One answer that is no JSON: its content type, and its text.

        Raises:
            SourceError: transient after the retries are used up, permanent at once.
        """
        reply = self._reply("GET", path, params=dict(params or {}))
        return reply.headers.get("Content-Type", ""), reply.content.decode("utf-8-sig", "replace")

    def post(
        self, path: str, *, json: Mapping[str, Any] | None = None, form: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """One object, asked for with a body: JSON or a form.

        Raises:
            SourceError: transient after the retries are used up, permanent at once.
        """
        return self._one("POST", path, **({"json": dict(json)} if json is not None else {"data": dict(form or {})}))

    def _one(self, method: Any, path: str, **kwargs: Any) -> dict[str, Any]:
        try:
            return dict(self._reply(method, path, **kwargs).json())
        except ValueError as error:
            raise self._unreachable(error) from error

    def _reply(self, method: Any, path: str, **kwargs: Any) -> "Response":
        import requests  # noqa: PLC0415

        try:
            reply = self._rest.request(path, method=method, hooks={"response": [self._say, _name_wait]}, **kwargs)
        except requests.RequestException as error:
            raise self._unreachable(error) from error
        if not reply.ok:
            raise self._refusal(reply)
        return reply

    def refused(self, sentence: str, *, is_transient: bool = False) -> SourceError:
        """For vendors that say no in words of their own: an error of this source."""
        return SourceError(f"{self._pull.what}: {sentence}", is_transient=is_transient)

    def _say(self, reply: "Response", *_args: Any, **_kwargs: Any) -> None:
        """A hook runs inside the retries, so what the vendor means decides whether they repeat."""
        if self._means:
            reply.status_code = self._means(reply)

    def _refusal(self, reply: "Response") -> SourceError:
        code = reply.status_code
        if code in RETRIED:
            sentence = f"answered {code} {ATTEMPTS} times; it is down or limits us, the next run tries again."
            return self.refused(sentence, is_transient=True)
        advice = _ADVICE.get(code, "the platform refused the request")
        scope = self._pull.resource.scope
        needs = f" It needs: {scope}." if scope and code in (401, 403) else ""
        return RefusalError(f"{self._pull.what}: answered {code}: {advice}.{needs}", code)

    def _unreachable(self, error: Exception) -> SourceError:
        sentence = (
            f"no readable answer after {ATTEMPTS} attempts ({type(error).__name__}); check the network and the host."
        )
        return self.refused(sentence, is_transient=True)


def _name_wait(reply: "Response", *_args: Any, **_kwargs: Any) -> None:
    """Some vendors say how long to wait under a name of their own; the retries know `Retry-After` only.

    It is seconds with some, with others an instant, which no wait is as long as.
    """
    named = next((reply.headers[name] for name in _WAITS if name in reply.headers), "")
    if reply.status_code == 429 and named.isdigit():  # noqa: PLR2004
        wait = int(named) if int(named) <= _LONGEST_NAMED_S else math.ceil(int(named) - time.time())
        if 0 <= wait <= _LONGEST_NAMED_S:
            reply.headers.setdefault("Retry-After", str(wait))


def _raise(reply: "Response", *_args: Any, **_kwargs: Any) -> None:
    """A hook runs inside the retries, and this error is one that they know and repeat."""
    _ = reply.content  # an unread answer keeps its connection
    reply.raise_for_status()
