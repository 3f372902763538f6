"""Backtests that a person starts from the console: one at a time, in a process of its own, that can be told to stop."""

import asyncio
import json
import secrets
import sys
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from civium.city import City
from civium.core import MICROSECONDS, InputRefused, to_datetime
from civium.web.doors import answer, caller_of, city_of
from civium.web.told import Told

router = APIRouter(prefix="/api", tags=["console"])
_LONGEST = 10_000  # characters of parameters
_KEPT = 20  # of those that are over
_LONGEST_LINE = 1 << 25  # [byte] of the results: some hundred bytes for each thing that is acted on
_LONGEST_S = 1800.0  # a backtest that takes longer is stopped


class Wish(BaseModel):
    """Which practice is to walk again over how much of the past, and with which other parameters beside those now."""

    practice: str = Field(max_length=100)
    seconds: float = Field(3600, ge=1, le=86_400)
    what_if: list[dict[str, Any]] = Field(default_factory=list, max_length=3)


@dataclass(slots=True)
class Trial:
    """One backtest: its span [ms since epoch], the share that is done, and what came of it."""

    id: str
    practice: str
    start: int
    end: int
    share: float = 0.0
    trouble: str = ""
    done: bool = False
    results: list[dict[str, Any]] | None = None

    def told(self) -> dict[str, Any]:
        """As the console has it."""
        own = {name: getattr(self, name) for name in ("id", "practice", "share", "trouble", "done", "results")}
        return {**own, "from": self.start, "to": self.end}


class Trials:
    """The backtests of this process, the newest first."""

    def __init__(self) -> None:
        self.all: deque[Trial] = deque(maxlen=_KEPT)
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, city: City, practice: str, seconds: float, what_if: Sequence[dict[str, Any]] = ()) -> Trial:
        """Start one; raises InputRefused (409) while another runs, and for parameters that do not fit the practice."""
        if practice not in city.turns.practices.found:
            raise InputRefused(f"no practice '{practice}' is installed", status=404)
        if any(not trial.done for trial in self.all):
            raise InputRefused("a backtest runs already; wait until it is over", status=409)
        for params in what_if:
            city.turns.check_params(practice, params)
            if len(json.dumps(params)) > _LONGEST:
                raise InputRefused(f"parameters of more than {_LONGEST:,} characters", status=413)
        end = city.clock.now()
        start = end - int(seconds * MICROSECONDS)
        trial = Trial(secrets.token_hex(6), practice, start // 1000, end // 1000)
        self.all.appendleft(trial)
        task = asyncio.create_task(self._run(city, trial, start, end, what_if))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return trial

    async def _run(self, city: City, trial: Trial, start: int, end: int, what_if: Sequence[dict[str, Any]]) -> None:
        span = ["--from", to_datetime(start).isoformat(), "--to", to_datetime(end).isoformat()]
        for params in what_if:
            span += ["--what-if", json.dumps(params)]
        command = ["-m", "civium.cli", "backtest", trial.practice, "--city", str(city.folder), *span, "--json"]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, limit=_LONGEST_LINE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(_LONGEST_S):
                assert process.stdout is not None
                assert process.stderr is not None
                async for line in process.stdout:
                    said = json.loads(line)
                    trial.share = said.get("share", trial.share)
                    trial.results = said.get("results", trial.results)
                told = (await process.stderr.read()).decode(errors="replace").strip()
                await process.wait()
            if trial.results is None:
                trial.trouble = told[-500:] or "it ended without a result"
        except (TimeoutError, ValueError) as error:
            trial.trouble = f"it was stopped: {error or f'it took longer than {_LONGEST_S:g} s'}"
        finally:
            trial.done = True
            if process.returncode is None:
                process.kill()
                await process.wait()


def trials_of(request: Request) -> Trials:
    """The backtests of the application."""
    state = request.app.state
    if not hasattr(state, "trials"):
        state.trials = Trials()
    found: Trials = state.trials
    return found


@router.get("/backtests")
async def backtests(request: Request, practice: str = "") -> Response:
    """The backtests that were started here, the newest first: share done, trouble, result."""
    wanted = [one for one in trials_of(request).all if practice in ("", one.practice)]
    told = Told(city_of(request), caller_of(request))
    return answer(await asyncio.to_thread(lambda: [one.told() for one in wanted if told.all_of(one.practice)]))


@router.post("/backtests")
async def begin_backtest(request: Request, wish: Wish) -> Response:
    """Let a practice walk the last while again; nothing is sent and nothing is written."""
    city = city_of(request)
    if wish.practice in city.turns.practices.found:
        await asyncio.to_thread(Told(city, caller_of(request)).must_tell_all, wish.practice)
    return answer(trials_of(request).begin(city, wish.practice, wish.seconds, wish.what_if).told(), 201)
