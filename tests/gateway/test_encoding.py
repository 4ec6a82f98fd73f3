"""Answers over HTTP in the coding that a client accepts: which one, what it says of itself, and what it costs."""

from __future__ import annotations

import asyncio
import json
import threading
import zlib
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from gateway.app import create_app
from gateway.http import encoding
from gateway.http.encoding import GZIP, IDENTITY, WORTH_IT, ZSTD, Encoder, acceptable, compress, compressor_of, zstd
from gateway.http.sending import Sending
from tests.contract.conftest import Cluster
from tests.waiting import until

LARGE, SMALL = json.dumps({"n": list(range(9000))}).encode(), b'{"n":1}'
LINES = [b'{"n":%d}\n' % n * 300 for n in range(20)]


async def large(_request: Request) -> Response:
    """Some JSON."""
    return Response(LARGE, media_type="application/json", headers={"ETag": '"one"', "Cache-Control": "no-cache"})


async def small(_request: Request) -> Response:
    """Less than is worth it."""
    return Response(SMALL, media_type="application/json", headers={"ETag": '"one"'})


async def image(_request: Request) -> Response:
    """What is compressed already."""
    return Response(LARGE, media_type="image/png")


async def lines(request: Request) -> Response:
    """A body that is made as it is sent."""

    async def each() -> AsyncIterator[bytes]:
        for line in LINES:
            yield line

    return StreamingResponse(each(), media_type=f"{request.path_params['kind']}/{request.path_params['name']}")


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application with one route of each sort, which asks for no coding by itself."""
    routes = [Route("/large", large), Route("/small", small), Route("/image", image), Route("/{kind}/{name}", lines)]
    transport = httpx.ASGITransport(app=Starlette(routes=routes, middleware=[Middleware(Sending)]))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        del client.headers["Accept-Encoding"]
        yield client


async def ask(http: httpx.AsyncClient, path: str, method: str = "GET", **headers: str) -> tuple[httpx.Response, bytes]:
    """An answer, and its body as it came."""
    async with http.stream(method, path, headers={n.replace("_", "-"): v for n, v in headers.items()}) as answer:
        return answer, b"".join([piece async for piece in answer.aiter_raw()])


def decoded(body: bytes, coding: str | None) -> bytes:
    """A body without its coding."""
    if coding == ZSTD:
        return zstd.decompress(body)
    return zlib.decompress(body, 31) if coding == GZIP else body


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        (None, (IDENTITY,)),
        ("", (IDENTITY,)),
        ("gzip", (GZIP, IDENTITY)),
        ("x-gzip", (GZIP, IDENTITY)),
        ("GZIP ; Q=0.5", (GZIP, IDENTITY)),
        ("gzip, deflate, br, zstd", (ZSTD, GZIP, IDENTITY)),
        ("zstd;q=0.1, gzip;q=0.9", (GZIP, ZSTD, IDENTITY)),
        ("gzip;q=0", (IDENTITY,)),
        ("gzip;q=0.000", (IDENTITY,)),
        ("identity", (IDENTITY,)),
        ("identity, gzip;q=0.5", (IDENTITY, GZIP)),
        ("gzip;q=0.5, identity;q=0.2", (GZIP, IDENTITY)),
        ("gzip, identity;q=0", (GZIP,)),
        ("*", (GZIP, ZSTD, IDENTITY)),
        ("*;q=0.1", (GZIP, ZSTD, IDENTITY)),
        ("gzip;q=0, *", (ZSTD, IDENTITY)),
        ("*;q=0", ()),
        ("*;q=0, gzip", (GZIP,)),
        ("*;q=0, identity;q=0.1", (IDENTITY,)),
        ("identity;q=0", ()),
        ("br, identity;q=0", ()),
        ("br", (IDENTITY,)),
        ("gzip;q=2", (IDENTITY,)),
        ("gzip;q=-1", (IDENTITY,)),
        ("gzip;q=x, zstd", (ZSTD, IDENTITY)),
        ("gzip;;;", (IDENTITY,)),
        (",,gzip,,", (GZIP, IDENTITY)),
        ("é\0", (IDENTITY,)),
        ("," * 60_000 + "gzip", (IDENTITY,)),
    ],
)
def test_the_coding_is_the_one_that_the_client_prefers(header: str | None, accepted: tuple[str, ...]) -> None:
    """By weight, zstd before gzip; `*` is what is not named; identity goes unless excluded; nonsense is ignored."""
    assert acceptable(header) == accepted


@pytest.mark.parametrize("coding", [GZIP, ZSTD, IDENTITY])
async def test_an_encoded_answer_says_so(http: httpx.AsyncClient, coding: str) -> None:
    """Content-Encoding, the length of what is sent, Vary; its ETag is weak, because the bytes are others."""
    answer, body = await ask(http, "/large", Accept_Encoding=coding)
    assert answer.headers.get("content-encoding", IDENTITY) == coding
    assert int(answer.headers["content-length"]) == len(body)
    assert answer.headers["vary"] == "Accept-Encoding"
    assert answer.headers["etag"] == ('"one"' if coding == IDENTITY else 'W/"one"')
    assert decoded(body, coding) == LARGE
    assert len(body) < len(LARGE) / 2 or coding == IDENTITY
    head, nothing = await ask(http, "/large", "HEAD", Accept_Encoding=coding)
    assert (head.headers, nothing) == (answer.headers, b"")


@pytest.mark.parametrize("coding", [GZIP, ZSTD, IDENTITY])
@pytest.mark.parametrize("known", ['"one"', 'W/"one"', '"two", W/"one"', "*"])
async def test_who_has_it_is_told_304_in_every_coding(http: httpx.AsyncClient, coding: str, known: str) -> None:
    """With the ETag of whichever coding: 304 with the ETag of this one, Vary and Cache-Control, and no body."""
    whole, _ = await ask(http, "/large", Accept_Encoding=coding)
    for method in ("GET", "HEAD"):
        answer, body = await ask(http, "/large", method, Accept_Encoding=coding, If_None_Match=known)
        assert (answer.status_code, body) == (304, b"")
        for name in ("etag", "vary", "cache-control"):
            assert answer.headers[name] == whole.headers[name]
        assert not {"content-encoding", "content-length", "content-type"} & set(answer.headers)
    answer, _ = await ask(http, "/large", Accept_Encoding=coding, If_None_Match='"two", one')
    assert answer.status_code == 200


async def test_what_is_small_or_compressed_is_sent_as_it_is(http: httpx.AsyncClient) -> None:
    """Unless the client accepts nothing else. An image has no Vary: it is the same for everybody."""
    assert len(SMALL) < WORTH_IT
    answer, body = await ask(http, "/small", Accept_Encoding="gzip")
    assert (body, answer.headers["vary"], answer.headers["etag"]) == (SMALL, "Accept-Encoding", '"one"')
    assert "content-encoding" not in answer.headers
    answer, body = await ask(http, "/small", Accept_Encoding="gzip, identity;q=0")
    assert (answer.headers["content-encoding"], decoded(body, GZIP)) == (GZIP, SMALL)
    answer, body = await ask(http, "/image", Accept_Encoding="gzip")
    assert body == LARGE
    assert not {"vary", "content-encoding"} & set(answer.headers)


async def test_who_accepts_nothing_gets_406(http: httpx.AsyncClient) -> None:
    """`not_acceptable`; an error of another kind is told all the same."""
    for header in ("*;q=0", "identity;q=0", "br, identity;q=0"):
        answer, body = await ask(http, "/large", Accept_Encoding=header)
        assert (answer.status_code, json.loads(body)["data"]["code"]) == (406, "not_acceptable")
        assert answer.headers["vary"] == "Accept-Encoding"
        answer, _ = await ask(http, "/nothing", Accept_Encoding=header)
        assert answer.status_code == 404


@pytest.mark.parametrize("coding", [GZIP, ZSTD, IDENTITY])
async def test_a_body_that_is_made_as_it_is_sent_is_encoded_piece_by_piece(
    http: httpx.AsyncClient, coding: str
) -> None:
    """Its length is not known; its end is there only once the body has ended. Events are never encoded."""
    answer, body = await ask(http, "/application/x-ndjson", Accept_Encoding=coding)
    assert answer.headers.get("content-encoding", IDENTITY) == coding
    assert "content-length" not in answer.headers
    assert decoded(body, coding) == b"".join(LINES)
    head, nothing = await ask(http, "/application/x-ndjson", "HEAD", Accept_Encoding=coding)
    assert (head.headers, nothing) == (answer.headers, b"")
    answer, body = await ask(http, "/text/event-stream", Accept_Encoding=coding)
    assert body == b"".join(LINES)
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize("coding", [GZIP, ZSTD])
def test_each_piece_can_be_decoded_as_soon_as_it_is_there(coding: str) -> None:
    """A client that shows lines as they come does not wait for the next piece."""
    compressor = compressor_of(coding)
    reader = zstd.ZstdDecompressor() if coding == ZSTD else zlib.decompressobj(31)
    for line in LINES:
        assert reader.decompress(compressor.piece(line)) == line
    assert not reader.eof
    assert reader.decompress(compressor.end()) == b""
    assert reader.eof


async def test_what_many_ask_for_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crowd shares one encoding, beside the loop; from the second time on it is kept, within bounds."""
    threads: list[int] = []

    def counted(body: bytes, coding: str) -> bytes:
        threads.append(threading.get_ident())
        return compress(body, coding)

    monkeypatch.setattr(encoding, "compress", counted)
    encoder = Encoder()
    for crowd in (100, 50, 1):
        found = await asyncio.gather(*(encoder.encode(LARGE, GZIP) for _ in range(crowd)))
        assert {zlib.decompress(each, 31) for each in found} == {LARGE}
    assert len(threads) <= 2
    assert threading.get_ident() not in threads
    for n in range(300):  # pages that nobody asks for again are not kept, and those that are stay within the bound
        for _ in range(2):
            await encoder.encode(b"%d" % n + LARGE, ZSTD)
    assert 0 < encoder._size <= encoding._KEPT
    assert not encoder._encoding


async def test_a_client_that_goes_away_spoils_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others who wait for the same body get it."""
    encoder, go_on = Encoder(), threading.Event()
    monkeypatch.setattr(encoding, "compress", lambda body, coding: compress(body, coding) if go_on.wait(10) else b"")
    first, second = (asyncio.create_task(encoder.encode(LARGE, GZIP)) for _ in range(2))
    await until(lambda: bool(encoder._encoding))
    first.cancel()
    go_on.set()
    assert zlib.decompress(await second, 31) == LARGE


async def test_documents_are_encoded_and_revalidated() -> None:
    """`/asyncapi.json`, `/docs` and its assets: encoded, with an ETag, and 304 for who has them."""
    transport = httpx.ASGITransport(app=create_app(None))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        for path in ("/asyncapi.json", "/docs", "/docs/assets/docs.css", "/docs/how-to/read-history.md"):
            plain, body = await ask(http, path, Accept_Encoding="identity")
            answer, encoded = await ask(http, path, Accept_Encoding="zstd")
            assert zstd.decompress(encoded) == body
            assert len(encoded) < len(body) / 2
            known, _ = await ask(http, path, Accept_Encoding="zstd", If_None_Match=answer.headers["etag"])
            assert known.status_code == 304
            assert answer.headers["etag"] == "W/" + plain.headers["etag"]


async def test_a_gateway_encodes_snapshots(cluster: Cluster) -> None:
    """Through real sockets: the bytes of the plain answer, on both gateways, for GET and HEAD."""
    await cluster.publish("market_data", prices={f"coin-{n}": n / 7 for n in range(200)})
    url = "/api/v1/snapshot/market_data"
    plain, body = await ask(cluster.http, cluster.url(url), Accept_Encoding="identity")
    for node, coding in ((0, GZIP), (1, ZSTD)):
        answer, encoded = await ask(cluster.http, cluster.url(url, node), Accept_Encoding=coding)
        assert (answer.headers["content-encoding"], decoded(encoded, coding)) == (coding, body)
        assert int(answer.headers["content-length"]) == len(encoded) < len(body) / 2
        head, _ = await ask(cluster.http, cluster.url(url, node), "HEAD", Accept_Encoding=coding)
        assert head.headers["content-length"] == answer.headers["content-length"]
        for tag in (plain.headers["etag"], answer.headers["etag"]):
            known, _ = await ask(cluster.http, cluster.url(url), Accept_Encoding=coding, If_None_Match=tag)
            assert (known.status_code, known.headers["etag"]) == (304, answer.headers["etag"])
