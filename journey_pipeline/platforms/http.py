"""HTTP for all platforms: one client with retries, one way to page, one place where failures get their sentence.

Every list is paged by an explicit paginator: dlt's guess is wrong for most vendors.
"""

import weakref
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from journey_pipeline.errors import SourceError

if TYPE_CHECKING:
    from dlt.sources.helpers.rest_client.paginators import BasePaginator
    from requests import Response
    from requests.auth import AuthBase

RETRIED = (408, 429, *range(500, 600))
ATTEMPTS = 5
BACKOFF_S = 1.0
LONGEST_WAIT_S = 120.0

_ADVICE = {
    400: "the request was refused as malformed; the platform may have changed its API",
    401: "the key was refused; check the secret and renew it",
    403: "the key lacks a permission; grant the read scope for this resource",
    404: "not found; check the account, host or id in journey.yaml",
    422: "the request was refused; check the options of this platform in journey.yaml",
}


class Api:
    """One vendor's HTTP API. `what` names the source in error sentences; secrets never appear in them."""

    def __init__(
        self,
        base_url: str,
        *,
        auth: "AuthBase | None" = None,
        headers: Mapping[str, str] | None = None,
        scopes: Mapping[str, str] | None = None,
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
        self._rest = RESTClient(base_url, headers=dict(headers or {}), auth=auth, session=session)
        self._scopes = scopes or {}

    def pages(
        self,
        path: str,
        *,
        paginator: "BasePaginator",
        rows: str,
        params: Mapping[str, Any] | None = None,
        json: Mapping[str, Any] | None = None,
        what: str,
    ) -> Iterator[tuple[list[dict[str, Any]], Mapping[str, Any]]]:
        """Page after page of (rows, whole body); `rows` is the JSON path of the list, `$` for the body itself.

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
                paginator=paginator,
                data_selector=rows,
                hooks={"response": [_name_wait, _raise]},
            ):
                body = page.response.json()
                yield list(page), body if isinstance(body, dict) else {}
        except requests.HTTPError as error:
            raise self._refusal(error.response, what) from None
        except requests.RequestException as error:
            raise _unreachable(what, error) from error

    def get(self, path: str, *, params: Mapping[str, Any] | None = None, what: str) -> dict[str, Any]:
        """One object.

        Raises:
            SourceError: transient after the retries are used up, permanent at once.
        """
        return self._one("GET", path, what, params=dict(params or {}))

    def post(self, path: str, *, json: Mapping[str, Any], what: str) -> dict[str, Any]:
        """One object, asked for with a body.

        Raises:
            SourceError: transient after the retries are used up, permanent at once.
        """
        return self._one("POST", path, what, json=dict(json))

    def _one(self, method: Any, path: str, what: str, **kwargs: Any) -> dict[str, Any]:
        import requests  # noqa: PLC0415

        try:
            reply = self._rest.request(path, method=method, hooks={"response": [_name_wait]}, **kwargs)
            if not reply.ok:
                raise self._refusal(reply, what)
            return dict(reply.json())
        except requests.RequestException as error:
            raise _unreachable(what, error) from error

    def _refusal(self, reply: "Response", what: str) -> SourceError:
        code = reply.status_code
        if code in RETRIED:
            sentence = f"{what}: answered {code} {ATTEMPTS} times; it is down or limits us, the next run tries again."
            return SourceError(sentence, is_transient=True)
        advice = _ADVICE.get(code, "the platform refused the request")
        scope = self._scopes.get(what.rsplit(" ", 1)[-1])
        needs = f" It needs: {scope}." if scope and code in (401, 403) else ""
        return SourceError(f"{what}: answered {code}: {advice}.{needs}", is_transient=False)


def _name_wait(reply: "Response", *_args: Any, **_kwargs: Any) -> None:
    """Some vendors say how long to wait as `RateLimit-Reset`, in seconds; the retries know `Retry-After` only."""
    if reply.status_code == 429 and "RateLimit-Reset" in reply.headers:  # noqa: PLR2004
        reply.headers.setdefault("Retry-After", reply.headers["RateLimit-Reset"])


def _raise(reply: "Response", *_args: Any, **_kwargs: Any) -> None:
    """A hook runs inside the retries, and this error is one that they know and repeat."""
    _ = reply.content  # an unread answer keeps its connection
    reply.raise_for_status()


def _unreachable(what: str, error: Exception) -> SourceError:
    kind = type(error).__name__
    return SourceError(
        f"{what}: no readable answer after {ATTEMPTS} attempts ({kind}); check the network and the host.",
        is_transient=True,
    )
