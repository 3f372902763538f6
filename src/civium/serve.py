"""Serves one city: uvicorn on its HTTP door, until it is told to stop."""

import gc
import json
import logging
import os
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import uvicorn

from civium import __version__
from civium.city import City
from civium.city_folder import ROLES
from civium.core import CiviumError, EngineUnsuitable
from civium.core.logs import begin
from civium.core.rights import NO_SCOPE, Role
from civium.core.traces import begin as begin_traces
from civium.engines.rights import LOCAL
from civium.engines.settings import address, load, trusting
from civium.web.app import build_app
from civium.web.heads import BoundedHeads
from civium.web.quick import QuickPosts

RUNNING = Path("run") / "city.json"  # where a running city says how to reach it

_TRUSTING = (
    "Whoever is on this machine may write what is open, without a token: set rights.anonymous to 'read' to end that"
)


def serve(
    folder: Path,
    *,
    turning: bool = True,
    port: int | None = None,
    roles: frozenset[str] = frozenset(ROLES),
    say: Callable[[str], None] | None = None,
) -> None:
    """Run the city in ``folder``, or a process of it with some ``roles``, until SIGTERM or Ctrl-C.

    ``port`` overrides the setting (0: any free one); a process that is neither door nor web takes any, for ``/health``.
    """
    settings = load(folder, several=roles != frozenset(ROLES))
    host, wanted = address(settings.doors.http) if roles & {"door", "web"} else ("127.0.0.1", 0)
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, wanted if port is None else port))
    except OSError as error:
        raise EngineUnsuitable(
            "http", f"{host}:{wanted} is taken ({error.strerror}); set doors.http to another"
        ) from None
    bound = listener.getsockname()[1]
    hosts = ["127.0.0.1", "localhost", "[::1]", host]
    failures: list[CiviumError] = []
    certificate, key = (
        str(folder / name) if name else None for name in (settings.doors.tls_certificate, settings.doors.tls_key)
    )
    url = f"{'https' if certificate else 'http'}://{host}:{bound}"
    city = City.open(folder, turning=turning, roles=roles, url=url)
    opened = _told(city, failures, say if "web" in roles else None)
    traces = settings.traces
    app = build_app(opened, hosts, roles, settings.rights.origins, traced=bool(traces.endpoint))
    running = folder / RUNNING
    running.parent.mkdir(parents=True, exist_ok=True)
    # A door that takes 20,000 things at once makes a million objects: what is here for good is not looked at again, and
    # the young are looked at in larger lots (a third less time for a registration).
    begin(settings.says.level, settings.says.format)
    end_of_traces = begin_traces(traces.endpoint, traces.ratio, settings.name, __version__) if traces.endpoint else None
    gc.freeze()
    gc.enable()
    gc.set_threshold(50_000, 20, 100)
    told = json.dumps({"pid": os.getpid(), "url": url, "turning": turning, "certificate": certificate or ""})
    if "web" in roles:
        running.write_text(told)
    if say is not None:
        playing = "" if roles == frozenset(ROLES) else f" ({', '.join(sorted(roles))})"
        say(f"{settings.name}{playing}: {url}  (Ctrl-C stops it)")
        if trusting(settings):
            say(_TRUSTING)
    # The quick way answers without the application, where spans are.
    quick = "door" in roles and not traces.endpoint
    http: type[BoundedHeads] = QuickPosts if quick else BoundedHeads
    config = uvicorn.Config(
        app,
        http=http,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    try:
        config.load()
    except (OSError, ValueError) as error:
        raise EngineUnsuitable("http", f"its TLS certificate and key cannot be used ({error})") from None
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
    # What keeps the city from starting is a sentence of our own; uvicorn would print where in the code it was said.
    logging.getLogger("uvicorn.error").addFilter(lambda _: not failures)
    # uvicorn closes in order, then raises the signal that it caught once more: by then we are done.
    signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        return
    except SystemExit:
        if failures:
            raise failures[0] from None
        raise
    finally:
        if end_of_traces is not None:
            end_of_traces()
        if running.exists() and running.read_text() == told:  # else it is another process's by now
            running.unlink()


@asynccontextmanager
async def _told(
    city: AbstractAsyncContextManager[City], failures: list[CiviumError], say: Callable[[str], None] | None
) -> AsyncIterator[City]:
    """The city; what it says on purpose when it cannot start is kept for whoever started it.

    A new city says the token of its first administrator, once.
    """
    try:
        running = await city.__aenter__()
    except CiviumError as error:
        failures.append(error)
        raise
    try:
        if say is not None and not running.tokens.any_made():
            _, secret = await running.tokens.make(
                "first administrator", Role.ADMINISTRATOR, NO_SCOPE, None, who=LOCAL, why="the first start"
            )
            say(f"The first administrator's token, told this once: {secret}")
        yield running
    finally:
        await city.__aexit__(None, None, None)
