"""Hugging Face's inference router: text classification by a few models.

https://huggingface.co/docs/inference-providers/tasks/text-classification. The classes of each text are a list, the most
probable first; a list of texts gets a list of such lists. Any token is accepted, but one is required. The simulated
models score by a few words.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulator.host import Host, World, answer
from simulator.hosts.huggingface import LIMITS

_LABELS = {
    "ProsusAI/finbert": ("positive", "neutral", "negative"),
    "ElKulako/cryptobert": ("Bullish", "Neutral", "Bearish"),
    "cardiffnlp/twitter-roberta-base-sentiment": ("LABEL_2", "LABEL_1", "LABEL_0"),
    "kk08/CryptoBERT": ("LABEL_1", None, "LABEL_0"),
    "SamLowe/roberta-base-go_emotions": ("admiration", "surprise", "grief"),
}
"""Each model's labels for good, neutral and bad news."""
_GOOD = frozenset({"rally", "rallies", "surge", "surges", "soars", "gains", "rises", "climbs", "approves", "jumps"})
_BAD = frozenset({"crash", "plunges", "falls", "hack", "hacked", "lawsuit", "sues", "drops", "exploit", "slides"})
_WORD = re.compile(r"[a-z]+")


def host(world: World) -> Host:
    """router.huggingface.co."""

    async def classify(request: Request) -> Response:
        if not request.headers.get("authorization", "").startswith("Bearer "):
            return answer({"error": "Invalid username or password."}, 401)
        labels = _LABELS.get(request.path_params["name"])
        if labels is None:
            return answer(
                {"error": f"Model {request.path_params['name']} is not supported by provider hf-inference"}, 400
            )
        try:
            question = json.loads(await request.body())
            texts, top = question["inputs"], question.get("parameters", {}).get("top_k", 5)
        except (ValueError, TypeError, KeyError, AttributeError):
            return answer({"error": ["Error in `inputs`: field required"]}, 422)
        texts = [texts] if isinstance(texts, str) else texts
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts) or not isinstance(top, int):
            return answer({"error": ["Error in `inputs`: str type expected"]}, 422)
        return answer([_classes(text, labels)[:top] for text in texts])

    return Host(
        routes=[Route("/hf-inference/models/{name:path}", classify, methods=["POST"])],
        figures=("score",),
        examples=(),
        not_found={"error": "Not Found"},
        too_many={"error": "You have exceeded your monthly included credits for Inference Providers."},
        server_error={"error": "Internal Server Error"},
        error_in_200={"error": "Model is currently loading", "estimated_time": 20.0},
        headers=LIMITS,
    )


def _classes(text: str, labels: tuple[str | None, ...]) -> list[dict[str, Any]]:
    words = set(_WORD.findall(text.lower()))
    lean = len(words & _GOOD) - len(words & _BAD)
    doubt = int(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:4], 16) / 0xFFFF
    sure = 0.7 + 0.25 * doubt if lean else 0.1 + 0.1 * doubt
    rest = round((1 - sure) / 4, 6)
    good, bad = (sure, rest) if lean >= 0 else (rest, sure)
    shares = (good, 1 - good - bad, bad) if labels[1] is not None else (good / (good + bad), 0.0, bad / (good + bad))
    found = [{"label": label, "score": share} for label, share in zip(labels, shares, strict=True) if label is not None]
    return sorted(found, key=lambda row: -float(str(row["score"])))
