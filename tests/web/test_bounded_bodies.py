"""What is received at a time is bounded; who comes too much is told so, and is served when there is room again."""

import asyncio
from types import SimpleNamespace

import pytest
from starlette.types import Message, Receive, Scope, Send

from civium.web.doors import BoundedBodies, DoorsBusy

_LARGEST = 1024 * 1024  # byte
_SCOPE = {"type": "http", "app": SimpleNamespace(state=SimpleNamespace(city=SimpleNamespace(
    settings=SimpleNamespace(doors=SimpleNamespace(max_body_mb=1.0)))))}  # fmt: skip


def test_a_body_beyond_the_bound_is_refused_and_welcome_when_the_others_are_answered() -> None:
    async def flood() -> None:
        answered = asyncio.Event()
        received = 0

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal received
            await receive()
            received += 1
            await answered.wait()

        bounded = BoundedBodies(app)

        async def request() -> None:
            async def receive() -> Message:
                return {"type": "http.request", "body": bytes(_LARGEST)}

            async def send(_: Message) -> None:
                return None

            await bounded(_SCOPE, receive, send)

        first = [asyncio.create_task(request()) for _ in range(3)]
        await asyncio.sleep(0)
        assert received == 3
        with pytest.raises(DoorsBusy):
            await request()
        answered.set()
        await asyncio.gather(*first)
        await request()
        assert received == 4

    asyncio.run(flood())
