"""The sandbox's server: one address for each platform, gone when the block ends, and failing as it is told to."""

import time
from collections.abc import Iterator

import httpx
import pytest

from journey_pipeline.sandbox.fakes.typeform import SECRETS
from journey_pipeline.sandbox.server import serve
from journey_pipeline.sandbox.world import Trouble, World
from journey_pipeline_tests.platforms.harness import NOW, make_world, world_frame

BOTH = ("typeform", "zendesk")
LEAD = {"record_id": "t_1", "occurred_at": NOW, "form": "Webinar"}


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(headers={"Authorization": f"Bearer {SECRETS['TYPEFORM_TOKEN']}"}) as client:
        yield client


def statuses(client: httpx.Client, url: str, count: int) -> list[int]:
    return [client.get(f"{url}/forms").status_code for _ in range(count)]


def troubled(trouble: Trouble) -> World:
    world = make_world("typeform")
    world.trouble["typeform"] = trouble
    return world


def test_each_platform_has_its_own_address(client: httpx.Client) -> None:
    with serve(make_world("typeform"), BOTH) as urls:
        assert sorted(urls) == ["typeform", "zendesk"]
        assert client.get(f"{urls['typeform']}/forms").json() == {"total_items": 0, "page_count": 0, "items": []}
        # The same key is none of Zendesk's.
        assert client.get(f"{urls['zendesk']}/api/v2/incremental/users/cursor").status_code == 401
        assert client.get(f"{urls['zendesk']}/forms").status_code == 404


def test_what_is_not_served_is_not_there(client: httpx.Client) -> None:
    with serve(make_world("typeform"), ("typeform",)) as urls:
        reply = client.get(urls["typeform"].replace("/typeform", "/zendesk"))
    assert (reply.status_code, reply.text) == (404, "no such path")


def test_it_listens_on_loopback_alone() -> None:
    with serve(make_world("typeform"), BOTH) as urls:
        assert {httpx.URL(url).host for url in urls.values()} == {"127.0.0.1"}


def test_two_worlds_at_once(client: httpx.Client) -> None:
    full = make_world("typeform", {"leads": [LEAD]})
    with serve(make_world("typeform"), ("typeform",)) as empty_urls, serve(full, ("typeform",)) as full_urls:
        totals = [client.get(f"{urls['typeform']}/forms").json()["total_items"] for urls in (empty_urls, full_urls)]
    assert totals == [0, 1]


def test_it_is_gone_when_the_block_ends(client: httpx.Client) -> None:
    with serve(make_world("typeform"), ("typeform",)) as urls:
        pass
    with pytest.raises(httpx.ConnectError):
        client.get(f"{urls['typeform']}/forms")


def test_it_is_gone_when_the_block_fails(client: httpx.Client) -> None:
    served: list[str] = []

    def fail() -> None:
        with serve(make_world("typeform"), ("typeform",)) as urls:
            served.append(urls["typeform"])
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with pytest.raises(httpx.ConnectError):
        client.get(f"{served[0]}/forms")


def test_the_world_is_read_at_every_request(client: httpx.Client) -> None:
    world = make_world("typeform")
    with serve(world, ("typeform",)) as urls:
        before = client.get(f"{urls['typeform']}/forms").json()["total_items"]
        world.records = {"leads": world_frame("typeform", "leads", [LEAD])}
        after = client.get(f"{urls['typeform']}/forms").json()["total_items"]
    assert (before, after) == (0, 1)


def test_a_platform_without_a_fake_is_refused() -> None:
    with pytest.raises(ModuleNotFoundError, match="nowhere"), serve(make_world("typeform"), ("nowhere",)):
        pass


def test_trouble_from_the_first_request_on_for_ever(client: httpx.Client) -> None:
    with serve(troubled(Trouble(500)), ("typeform",)) as urls:
        assert statuses(client, urls["typeform"], 4) == [500, 500, 500, 500]


def test_trouble_after_some_requests_and_for_some(client: httpx.Client) -> None:
    world = troubled(Trouble(503, after=1, times=2))
    with serve(world, ("typeform",)) as urls:
        assert statuses(client, urls["typeform"], 5) == [200, 503, 503, 200, 200]
    assert world.trouble["typeform"].seen == 5


def test_trouble_may_say_when_to_come_again(client: httpx.Client) -> None:
    with serve(troubled(Trouble(429, times=1, retry_after="7")), ("typeform",)) as urls:
        replies = [client.get(f"{urls['typeform']}/forms") for _ in range(2)]
    assert [reply.headers.get("Retry-After") for reply in replies] == ["7", None]


def test_trouble_comes_before_the_key_is_looked_at() -> None:
    with serve(troubled(Trouble(500, times=1)), ("typeform",)) as urls, httpx.Client() as stranger:
        assert statuses(stranger, urls["typeform"], 2) == [500, 401]


def test_trouble_is_one_platforms_own_and_ends_when_it_is_taken_away(client: httpx.Client) -> None:
    world = make_world("typeform")
    world.trouble["zendesk"] = Trouble(500)
    with serve(world, BOTH) as urls:
        assert statuses(client, urls["typeform"], 1) == [200]
        assert client.get(f"{urls['zendesk']}/api/v2/incremental/users/cursor").status_code == 500
        world.trouble.clear()
        assert client.get(f"{urls['zendesk']}/api/v2/incremental/users/cursor").status_code == 401


def test_who_asks_too_often_is_told_when_to_come_again(client: httpx.Client) -> None:
    with serve(make_world("typeform"), ("typeform",), limits={"typeform": (2, 60)}) as urls:
        assert statuses(client, urls["typeform"], 3) == [200, 200, 429]
        assert 58 <= int(client.get(f"{urls['typeform']}/forms").headers["Retry-After"]) <= 60


def test_after_the_span_it_answers_again(client: httpx.Client) -> None:
    with serve(make_world("typeform"), ("typeform",), limits={"typeform": (1, 0.3)}) as urls:
        assert statuses(client, urls["typeform"], 2) == [200, 429]
        time.sleep(0.35)
        assert statuses(client, urls["typeform"], 1) == [200]
