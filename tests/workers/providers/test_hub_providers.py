"""How the Hugging Face hub is asked, and what becomes of its answers and of its models' verdicts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from shared.bus.budgets import Budgets
from shared.channels import Channels
from shared.errors import ProviderError
from tests.places import UPSTREAM
from tests.workers.stage import Stage
from workers.answers import Repo, RepoPage
from workers.asking.client import open_client
from workers.asking.fetch import Fetcher
from workers.asking.provider import Request
from workers.providers.huggingface import MODELS, HuggingFace, next_page, parse_page
from workers.providers.huggingface_inference import HuggingFaceInference

T = TypeVar("T")
NEXT = "https://huggingface.co/api/models?search=crypto&limit=2&cursor=eyIkb3Ii"
PAGE = RepoPage(repos=(Repo("a/b", 1),))
HUB = "huggingface.co"


def recorded(file: str) -> bytes:
    """A real answer; skips where they are not at hand."""
    path: Path = UPSTREAM / "huggingface" / file
    if not path.exists():
        pytest.skip("no recordings of real answers here")
    return path.read_bytes()


class Book:
    """Pages by their paths; keeps what was asked."""

    def __init__(self, pages: list[tuple[list[dict[str, Any]], str | None]]) -> None:
        self.asked: list[Request[Any]] = []
        self._pages = pages

    async def __call__(self, request: Request[T]) -> T:
        rows, link = self._pages[len(self.asked)]
        self.asked.append(request)
        answer = request.parse(json.dumps(rows).encode())
        assert request.complete is not None
        return request.complete(answer, httpx.Headers({} if link is None else {"link": link}))


def row(number: int) -> dict[str, Any]:
    return {"id": f"owner/crypto-{number}", "downloads": 1000 - number, "private": False}


async def test_pages_are_followed_by_their_links() -> None:
    """The next page is where the header says; a row that slipped from one to the next comes once; the last may be
    empty."""
    link = f'<{NEXT}>; rel="next"'
    book = Book([([row(1), row(2)], link), ([row(2), row(3)], link + "2"), ([], None)])
    repos = await HuggingFace().models(book, "crypto")
    assert [repo.name for repo in repos] == ["owner/crypto-1", "owner/crypto-2", "owner/crypto-3"]
    assert book.asked[0].path.startswith("/api/models?search=crypto&sort=downloads&direction=-1&limit=100&expand=")
    assert book.asked[1].path == NEXT.removeprefix("https://huggingface.co")
    assert all(request.conditional for request in book.asked)


async def test_pages_are_bounded() -> None:
    """A list that never ends is left after five pages."""
    book = Book([([row(number)], f'<{NEXT}>; rel="next"') for number in range(9)])
    assert len(await HuggingFace().models(book, "crypto")) == 5
    assert len(book.asked) == 5


async def test_a_term_that_nothing_has_is_a_provider_error() -> None:
    """An empty first page is no answer: our terms are in thousands of ids."""
    with pytest.raises(ProviderError, match="no row"):
        await HuggingFace().datasets(Book([([], None)]), "bitcoin")


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        (f'<{NEXT}>; rel="next"', NEXT.removeprefix("https://huggingface.co")),
        (f"<{NEXT}>;rel=next", NEXT.removeprefix("https://huggingface.co")),
        (f'<https://huggingface.co/api/models?x=1>; rel="prev", <{NEXT}>; title="a"; rel="next"', "cursor="),
        ('</api/models?cursor=2>; rel="next"', "/api/models?cursor=2"),
        (f'<{NEXT}>; rel="nextish-not"', None),
        (f'<{NEXT}>; rel="prev"', None),
        ("", None),
        (";;;,<", None),
    ],
)
def test_the_next_page_is_what_the_link_says(link: str, expected: str | None) -> None:
    """Several links, quotes or none, an address without its host."""
    found = next_page(MODELS, PAGE, {"link": link})
    assert found.repos == PAGE.repos
    assert (found.next is None) if expected is None else (expected in (found.next or ""))


@pytest.mark.parametrize(
    "address",
    [
        "https://huggingface.co.evil.example/api/models?x",
        "https://evil.example/api/models?x",
        "http://huggingface.co/api/models?x",
        "https://huggingface.co:444/api/models?x",
        "https://user@huggingface.co/api/models?x",
        "//evil.example/api/models",
        "https://huggingface.co/api/datasets?x",
        "/logout",
        "https://[",
        "https://huggingface.co/api/models?" + "x" * 5000,
    ],
)
def test_a_next_page_elsewhere_is_refused(address: str) -> None:
    """The token is sent to the hub only."""
    with pytest.raises(ProviderError) as caught:
        next_page(MODELS, PAGE, {"link": f'<{address}>; rel="next"'})
    assert caught.value.field == "Link"
    assert "evil" not in str(caught.value)


def test_a_token_is_sent_only_where_there_is_one() -> None:
    """Without it the budget is that of an address."""
    without, with_token = HuggingFace(), HuggingFace("hf_secret")
    assert without.headers() == {}
    assert with_token.headers() == {"Authorization": "Bearer hf_secret"}
    assert without.budget.units < with_token.budget.units < 1000


def test_a_real_list_parses() -> None:
    """Rows as the hub really sent them."""
    page = parse_page(recorded("api_models_list_trimmed_2026-08.json"))
    assert len(page.repos) == len(json.loads(recorded("api_models_list_trimmed_2026-08.json")))
    assert page.repos[2] == Repo("moonshotai/Kimi-K3", 559924)


@pytest.mark.parametrize(
    "file",
    [
        "api_daily_papers_2026.json",
        "api_models_google-bert_bert-base-uncased_2025.json",
        "inference_fill-mask_2025.json",
    ],
)
def test_other_real_answers_are_no_list(file: str) -> None:
    """Papers, one model, or the verdict of another kind of model."""
    with pytest.raises(ProviderError):
        parse_page(recorded(file))
    with pytest.raises(ProviderError):
        HuggingFaceInference.parsers["classes"](recorded(file))


async def test_the_simulated_hub_has_the_same_rows_on_its_pages_as_at_once(stage: Stage) -> None:
    """Paging through a real client loses nothing and doubles nothing."""
    hub = HuggingFace()
    repos = await hub.models(stage.asker(hub, 5.0), "crypto")
    assert stage.asked["huggingface"] == 3
    whole = await stage.asker(hub, 5.0)(Request("/api/models?search=crypto&limit=1000&sort=downloads", parse_page))
    assert repos == whole.repos
    assert len(repos) > 200


async def test_a_list_that_has_not_changed_is_not_sent_again(stage: Stage) -> None:
    """Every page has its ETag: asked again, each is 304 and gives the same rows, next pages and all."""
    hub = HuggingFace()
    statuses: list[int] = []

    async def note(response: httpx.Response) -> None:
        statuses.append(response.status_code)

    async with open_client(stage.settings) as client:
        client.event_hooks = {"response": [note]}
        fetcher = Fetcher(client, Budgets(stage.redis, Channels(stage.settings.redis_prefix)))
        first = await hub.datasets(fetcher.asker(hub, 5.0), "bitcoin")
        assert await hub.datasets(fetcher.asker(hub, 5.0), "bitcoin") == first
        assert statuses == [200, 200, 304, 304]
        stage.now += 3600
        assert await hub.datasets(fetcher.asker(hub, 5.0), "bitcoin") != first
    assert statuses[4] == 200


async def test_a_renamed_repository_is_found_within_the_host(stage: Stage) -> None:
    """The hub answers the old name by 307 with text; the answer has the new name."""
    hub = HuggingFace()
    answer = await stage.asker(hub, 5.0)(Request("/api/models/finbert", json.loads))
    assert answer["id"] == "ProsusAI/finbert"
    tally = stage.simulator.tally.by_host()[HUB]
    assert tally == {"/api/models/finbert": 1, "/api/models/ProsusAI/finbert": 1}


async def test_a_private_model_is_not_told(stage: Stage) -> None:
    """With a token the hub also lists its owner's private models: these are not published."""
    hub = HuggingFace("hf_secret")
    repos = await hub.models(stage.asker(hub, 5.0), "crypto")
    assert len(repos) > 200
    assert not any("private" in repo.name for repo in repos)


async def test_the_limit_of_the_hub_is_obeyed(stage: Stage) -> None:
    """Its 429 has no Retry-After but RateLimit."""
    hub = HuggingFace()
    stage.spoil(HUB, fault="429_no_retry_after")
    with pytest.raises(ProviderError) as caught:
        await hub.probe(stage.asker(hub, 5.0))
    assert caught.value.retry_after == 55


@pytest.mark.parametrize(
    "model",
    ["ProsusAI/finbert", "ElKulako/cryptobert", "cardiffnlp/twitter-roberta-base-sentiment", "kk08/CryptoBERT"],
)
async def test_a_hub_model_reads_several_texts_at_once(stage: Stage, model: str) -> None:
    """One call, one tone a text, in their order, whatever the model calls its classes."""
    reader = HuggingFaceInference(f"{model}:hf_secret")
    texts = ("Bitcoin rallies", "Exchange hacked", "Ether “traded”")
    good, bad, flat = await reader.tones(stage.asker(reader, 5.0), texts)
    assert -1 <= bad < -0.6 < flat < good <= 1
    assert stage.asked["huggingface_inference"] == 1


@pytest.mark.parametrize(
    ("model", "reason"),
    [("SamLowe/roberta-base-go_emotions", "unknown label"), ("nobody/nothing", "HTTP 400")],
)
async def test_a_model_of_another_kind_is_a_provider_error(stage: Stage, model: str, reason: str) -> None:
    """Its labels are not guessed; the token is in no error."""
    reader = HuggingFaceInference(f"{model}:hf_secret")
    with pytest.raises(ProviderError, match=reason) as caught:
        await reader.probe(stage.asker(reader, 5.0))
    assert "hf_secret" not in str(caught.value)


async def test_verdicts_for_another_number_of_texts_are_refused() -> None:
    """Which belongs to which could only be guessed."""

    async def ask(request: Request[T]) -> T:
        return request.parse(b'[[{"label": "positive", "score": 0.9}, {"label": "negative", "score": 0.1}]]')

    with pytest.raises(ProviderError, match="1 answers for 2 texts"):
        await HuggingFaceInference("a/b:c").tones(ask, ("one", "two"))


async def test_a_token_that_is_no_good_is_a_provider_error(stage: Stage) -> None:
    """The router's 401 is a failure like any other."""

    class Anonymous(HuggingFaceInference):
        def headers(self) -> dict[str, str]:
            return {}

    reader = Anonymous("ProsusAI/finbert:")
    with pytest.raises(ProviderError, match="HTTP 401"):
        await reader.probe(stage.asker(reader, 5.0))
