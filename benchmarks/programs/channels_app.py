"""Django Channels with the pub/sub layer of channels_redis: the receiving half of the tutorial's chat consumer.

The tutorial encodes JSON once per client; this passes the text on as it is.
"""

from __future__ import annotations

import os
from typing import Any

import django
from django.conf import settings

_LAYER = {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [os.environ["REDIS_URL"]]}}
settings.configure(SECRET_KEY="benchmark", ALLOWED_HOSTS=["*"], CHANNEL_LAYERS={"default": _LAYER})  # noqa: S106
django.setup()

from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402 - only after the setup
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.urls import path  # noqa: E402

GROUP = os.environ["CHANNEL"].removeprefix("asgi__group__")
"""What the layer puts before the name of a group is the rest of its Redis channel."""


class Feed(AsyncWebsocketConsumer):
    """One client."""

    async def connect(self) -> None:
        """Join the group."""
        await self.channel_layer.group_add(GROUP, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        """Leave the group."""
        await self.channel_layer.group_discard(GROUP, self.channel_name)

    async def feed_message(self, event: dict[str, Any]) -> None:
        """Pass a message on."""
        await self.send(text_data=event["text"])


app = ProtocolTypeRouter({"websocket": URLRouter([path("ws", Feed.as_asgi())])})
