"""A webhook: the alarms as JSON, posted to an address."""

import httpx

from civium.alarms.delivery import Message, NotDelivered
from civium.engines.settings import Alarms


class HookSender:
    """Posts JSON: ``city``, ``subject``, ``text``, ``url`` and ``alarms``; with ``alarms.webhook_token`` where set."""

    def __init__(self, settings: Alarms) -> None:
        headers = {"Authorization": f"Bearer {settings.webhook_token}"} if settings.webhook_token else {}
        limits = httpx.Limits(max_connections=16)
        self._client = httpx.AsyncClient(timeout=10.0, follow_redirects=False, limits=limits, headers=headers)

    async def send(self, way: str, message: Message) -> None:
        """Post to ``way``."""
        try:
            answer = await self._client.post(way, json={**message.data, "text": message.text})
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NotDelivered(f"webhook: {_host(way)} does not answer ({type(error).__name__})") from None
        if not answer.is_success:
            raise NotDelivered(f"webhook: {_host(way)} answers {answer.status_code}")

    async def close(self) -> None:
        await self._client.aclose()


def _host(way: str) -> str:
    """Where an address leads, without what may be secret in it."""
    try:
        return httpx.URL(way).host
    except httpx.InvalidURL:
        return "an address that cannot be read"
