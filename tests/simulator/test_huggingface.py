"""The simulated Hugging Face hub and its inference router."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from simulator.app import Simulator
from simulator.faults import Fault, FaultName
from simulator.world.clock import Clock
from tests.simulator.conftest import Ask

pytestmark = pytest.mark.asyncio(loop_scope="module")

HUB, ROUTER = "huggingface.co", "router.huggingface.co"
BEARER = {"Authorization": "Bearer hf_any"}


async def classify(
    client: httpx.AsyncClient, body: Any, model: str = "ProsusAI/finbert", **headers: str
) -> httpx.Response:
    sent = {"Host": ROUTER, **(headers or BEARER)}
    return await client.post(f"/hf-inference/models/{model}", headers=sent, content=json.dumps(body))


async def test_a_search_finds_parts_of_ids(ask: Ask) -> None:
    """In any case; the most downloaded first where that is asked for."""
    rows = (await ask(HUB, "/api/models", search="CryptoBERT", sort="downloads")).json()
    assert {row["id"] for row in rows} == {"ElKulako/cryptobert", "kk08/CryptoBERT"}
    downloads = [
        row["downloads"] for row in (await ask(HUB, "/api/datasets", search="bitcoin", sort="downloads")).json()
    ]
    assert downloads == sorted(downloads, reverse=True)
    assert (await ask(HUB, "/api/models", search="no such thing")).json() == []


async def test_rows_have_what_the_real_ones_have(ask: Ask) -> None:
    """Whole, or what `expand` asks for."""
    row = (await ask(HUB, "/api/models", search="crypto", limit=1)).json()[0]
    assert {"_id", "id", "modelId", "likes", "private", "downloads", "tags", "createdAt"} <= set(row)
    assert "modelId" not in (await ask(HUB, "/api/datasets", search="crypto", limit=1)).json()[0]
    small = (await ask(HUB, "/api/models", search="crypto", limit=1, expand="downloads")).json()[0]
    assert set(small) == {"_id", "id", "downloads"}


async def test_a_link_leads_to_the_next_page(ask: Ask, client: httpx.AsyncClient) -> None:
    """With everything that was asked for; the last page has none."""
    first = await ask(HUB, "/api/models", search="ethereum", limit=30, sort="downloads")
    url = first.links["next"]["url"]
    assert url.startswith("https://huggingface.co/api/models?search=ethereum&limit=30&sort=downloads&cursor=")
    second = await client.get(url.removeprefix("https://huggingface.co"), headers={"Host": HUB})
    names = [row["id"] for row in (*first.json(), *second.json())]
    assert (len(names), len(set(names)), "link" in second.headers) == (40, 40, False)


@pytest.mark.parametrize("cursor", ["x", "eyJ9", "bnVsbA==", "eyIkc2tpcCI6IC01fQ=="])
async def test_a_cursor_of_somebody_else_begins_at_the_start(ask: Ask, cursor: str) -> None:
    """Whatever it is."""
    whole = (await ask(HUB, "/api/models", search="ethereum")).json()
    assert (await ask(HUB, "/api/models", search="ethereum", cursor=cursor)).json() == whole


async def test_what_has_not_changed_is_304(ask: Ask, client: httpx.AsyncClient, clock: Clock) -> None:
    """For an hour; then the downloads are others."""
    first = await ask(HUB, "/api/models", search="crypto", limit=50)
    known = {"Host": HUB, "If-None-Match": first.headers["etag"]}
    path = "/api/models?search=crypto&limit=50"
    assert (await client.get(path, headers=known)).status_code == 304
    clock.advance(3600)
    assert (await client.get(path, headers=known)).status_code == 200


async def test_a_token_shows_its_owners_private_model(ask: Ask, client: httpx.AsyncClient) -> None:
    """A private model is listed only with its owner's token."""
    assert (await ask(HUB, "/api/models", search="private")).json() == []
    with_token = await client.get("/api/models?search=private", headers={"Host": HUB, **BEARER})
    assert [row["private"] for row in with_token.json()] == [True]
    assert (await ask(HUB, "/api/models/me/private-crypto-notes")).status_code == 404


async def test_a_renamed_model_is_answered_by_its_new_address(ask: Ask) -> None:
    """307, with text that is no JSON."""
    moved = await ask(HUB, "/api/models/finbert")
    assert (moved.status_code, moved.headers["location"]) == (307, "/api/models/ProsusAI/finbert")
    assert moved.text.startswith("Temporary Redirect")
    assert (await ask(HUB, "/api/models/ProsusAI/finbert")).json()["id"] == "ProsusAI/finbert"
    unknown = await ask(HUB, "/api/models/no/body")
    assert (unknown.status_code, unknown.headers["x-error-code"]) == (404, "RepoNotFound")


async def test_a_refusal_says_when_in_its_own_header(simulator: Simulator, ask: Ask) -> None:
    """RateLimit, of which each good answer has one too."""
    assert (await ask(HUB, "/api/models", limit=1)).headers["ratelimit"].startswith('"api";r=')
    simulator.faults.set(Fault(host=HUB, fault="429_no_retry_after"))
    refused = await ask(HUB, "/api/models", limit=1)
    assert (refused.status_code, refused.headers["ratelimit"]) == (429, '"api";r=0;t=55')
    assert "retry-after" not in refused.headers


async def test_texts_are_classified_one_by_one(client: httpx.AsyncClient) -> None:
    """A list of classes for each text, surest first; a single text is a list of one."""
    both = (await classify(client, {"inputs": ["Bitcoin rallies", "Exchange hacked"]})).json()
    assert [classes[0]["label"] for classes in both] == ["positive", "negative"]
    assert all(sum(found["score"] for found in classes) == pytest.approx(1) for classes in both)
    assert (await classify(client, {"inputs": "Bitcoin rallies"})).json() == both[:1]
    first = await classify(client, {"inputs": ["Bitcoin rallies"], "parameters": {"top_k": 1}})
    assert first.json() == [both[0][:1]]


@pytest.mark.parametrize(
    ("body", "status"), [({}, 422), ([], 422), ({"inputs": [1]}, 422), ({"inputs": ["x"], "parameters": 1}, 422)]
)
async def test_a_question_that_is_none_is_refused(client: httpx.AsyncClient, body: Any, status: int) -> None:
    """In words."""
    answer = await classify(client, body)
    assert (answer.status_code, "error" in answer.json()) == (status, True)


async def test_the_router_wants_a_token_and_a_model_that_it_has(client: httpx.AsyncClient) -> None:
    """401 and 400."""
    assert (await classify(client, {"inputs": "x"}, Authorization="Basic x")).status_code == 401
    assert (await classify(client, {"inputs": "x"}, "no/body")).status_code == 400


@pytest.mark.parametrize("fault", ["429", "500", "html", "truncated_json", "wrong_types", "empty", "error_in_200"])
async def test_faults_of_the_router(simulator: Simulator, client: httpx.AsyncClient, fault: FaultName) -> None:
    """None of them is an answer that could be used."""
    simulator.faults.set(Fault(host=ROUTER, fault=fault))
    spoilt = await classify(client, {"inputs": ["Bitcoin rallies"]})
    genuine = b'[[{"label":"positive","score":0.'
    assert spoilt.status_code != 200 or not spoilt.content.startswith(genuine) or not spoilt.content.endswith(b"]]")
