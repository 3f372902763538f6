"""The webhook actuator: one POST a task to the URL that the actuator registered."""

import asyncio

import httpx

from civium.acts.task import Task


class WebhookSender:
    """Posts tasks as JSON, with the task's id as ``Idempotency-Key``."""

    def __init__(self) -> None:
        self._client = httpx.AsyncClient(timeout=5.0, follow_redirects=False, limits=httpx.Limits(max_connections=32))

    async def send(self, tasks: list[Task]) -> list[str | None]:
        return await asyncio.gather(*(self._send(task) for task in tasks))

    async def close(self) -> None:
        await self._client.aclose()

    async def _send(self, task: Task) -> str | None:
        headers = {"Content-Type": "application/json", "Idempotency-Key": task.id}
        try:
            answer = await self._client.post(task.address, content=task.encode(), headers=headers)
        except httpx.HTTPError as error:
            return f"{task.address} did not answer: {type(error).__name__}"
        return None if answer.is_success else f"{task.address} answered {answer.status_code}"
