"""What the commands need of a running city to take care of it; all of it is for administrators."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from msgspec import to_builtins
from pydantic import BaseModel, Field
from starlette.responses import Response, StreamingResponse

from civium.checkup import checkup
from civium.web.doors import answer, city_of

router = APIRouter(prefix="/api", tags=["care"])


class Done(BaseModel):
    """A backup that is whole: where it is, when it was begun [us since epoch], its size [bytes]."""

    target: str = Field(max_length=1000)
    name: str = Field(max_length=100)
    at: int
    bytes: int


class End(BaseModel):
    """The end of a backup; ``done`` is missing when it failed."""

    done: Done | None = None


@router.get("/checkup")
async def examine(request: Request) -> Response:
    """The insides of the city: log streams, tables, files of the store, missing states."""
    return answer(await checkup(city_of(request)))


class Which(BaseModel):
    """Which dead letters: those whose topic holds this text; none holds all."""

    topic: str = Field("", max_length=1000)


@router.get("/dead-letters")
async def dead_letters(request: Request, limit: Annotated[int, Query(ge=1, le=1000)] = 20, topic: str = "") -> Response:
    """The last messages that could not be taken in, newest first: door, topic, why, body, and where they lie."""
    found = (await city_of(request).letters.listed(topic))[-limit:]
    letters = [{"id": f"{kept.stream}/{kept.sequence}", **to_builtins(kept.letter)} for kept in reversed(found)]
    return answer([{"body": "", **letter} for letter in letters])


@router.post("/dead-letters/retry")
async def retry_dead_letters(request: Request, which: Which) -> Response:
    """Try dead letters again: what is accepted now becomes readings, once; the others stay with the new reason."""
    return answer(await city_of(request).letters.retry(which.topic))


@router.post("/dead-letters/drop")
async def drop_dead_letters(request: Request, which: Which) -> dict[str, int]:
    """Forget dead letters for good."""
    return {"dropped": await city_of(request).letters.drop(which.topic)}


@router.post("/backups")
async def begin_backup(request: Request) -> Any:
    """Begin a backup: what to copy, and in which order."""
    return await city_of(request).cuts.begin()


@router.get("/backups/{cut}/streams/{stream}")
async def copy_stream(request: Request, cut: str, stream: str) -> StreamingResponse:
    """A copy of one log stream: a line of JSON, then the log server's own snapshot."""
    pieces = city_of(request).cuts.stream(cut, stream)
    first = await anext(pieces)  # what is wrong is said before the answer begins

    async def content() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    return StreamingResponse(content(), media_type="application/octet-stream")


@router.get("/backups/{cut}/files")
async def files_to_copy(request: Request, cut: str) -> Response:
    """What must be copied after the log streams."""
    return answer(await city_of(request).cuts.files(cut))


@router.post("/backups/{cut}/renew")
async def renew_backup(request: Request, cut: str) -> dict[str, str]:
    """Say that the copying goes on; without it for half a minute the backup is given up."""
    await city_of(request).cuts.renew(cut)
    return {"id": cut}


@router.post("/backups/{cut}/end")
async def end_backup(request: Request, cut: str, end: End) -> dict[str, str]:
    """The backup is done, or was given up: the city need not keep its parts any more."""
    await city_of(request).cuts.end(cut, end.done.model_dump() if end.done else None)
    return {"id": cut}
