"""Tripwires around a decision: what touches the world outside its inputs is refused and noted.

An audit hook sees files, sockets, processes and threads; the functions of ``time`` are wrapped and shifted; a profile
hook sees the clock and the randomness that C code gives. This catches mistakes and carelessness. It is no prison:
code that sets out to escape from a Python process can.
"""

import _thread
import datetime
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

REFUSED = (
    "ctypes.", "ftplib.", "http.client.", "imaplib.", "nntplib.", "os.chdir", "os.chflags", "os.chmod", "os.chown",
    "os.exec", "os.fork", "os.forkpty", "os.kill", "os.killpg", "os.link", "os.lockf", "os.mkdir", "os.posix_spawn",
    "os.putenv", "os.remove", "os.removexattr", "os.rename", "os.rmdir", "os.setxattr", "os.spawn", "os.startfile",
    "os.symlink", "os.system", "os.truncate", "os.unsetenv", "os.utime", "poplib.", "pty.spawn", "shutil.", "signal.",
    "smtplib.", "socket.", "sqlite3.connect", "subprocess.", "sys.addaudithook", "syslog.", "tempfile.", "telnetlib.",
    "urllib.Request", "webbrowser.open",
)  # fmt: skip
LISTS = ("os.listdir", "os.scandir", "glob.glob")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CLOCKS = (
    "clock_gettime", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time", "time", "time_ns",
)  # fmt: skip
CALENDARS = {"asctime": 0, "ctime": 0, "gmtime": 0, "localtime": 0, "strftime": 1}  # arguments before the instant
GLOBAL_RANDOM = vars(random)["_inst"]  # behind random.random() and its like
LOADING = "<frozen importlib._bootstrap>"


class Refused(PermissionError):
    """Raised inside the practice at the very call; it stays on the list of breaches if the practice swallows it."""


class Tripwires:
    """Notes what the code of one practice does beyond its inputs while armed.

    ``breaches`` is a list of (rule, what happened). ``package`` is the practice's own top module, ``folder`` its code.
    """

    def __init__(self, package: str, folder: Path) -> None:
        self.breaches: list[tuple[str, str]] = []
        self._package = package
        self._folder = str(folder) + os.sep
        self._armed = False
        self._readable = tuple(os.path.realpath(p) + os.sep for p in {*sys.path, sys.prefix, sys.base_prefix} if p)
        sys.addaudithook(self._audit)

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Watch files, sockets, processes and threads, and refuse them."""
        self._armed = True
        try:
            yield
        finally:
            self._armed = False

    @contextmanager
    def profiled(self) -> Iterator[None]:
        """Watch the calls that the practice's own code makes into C: the clock and randomness. Slow."""
        sys.setprofile(self._profile)
        try:
            yield
        finally:
            sys.setprofile(None)

    def wrap_time(self, ahead: float) -> None:
        """Replace what the audit hook cannot see: the clocks of ``time`` (now ``ahead`` [s]), sleep and threads."""
        for name in CLOCKS:
            setattr(time, name, self._shifted(getattr(time, name), f"time.{name}", ahead))
        for name, given in CALENDARS.items():
            setattr(time, name, self._dated(getattr(time, name), f"time.{name}", given))
        time.sleep = self._forbidden(time.sleep, "time.sleep")
        start = self._forbidden(_thread.start_new_thread, "_thread.start_new_thread")
        for module in (_thread, threading):
            for name in ("start_new_thread", "_start_new_thread"):
                if hasattr(module, name):
                    setattr(module, name, start)

    def _shifted(self, clock: Callable[..., Any], name: str, ahead: float) -> Callable[..., Any]:
        shift: Any = round(ahead * 1e9) if name.endswith("_ns") else ahead

        def read(*args: Any) -> Any:
            self._note_clock(name, sys._getframe(1))
            return clock(*args) + shift

        return read

    def _dated(self, calendar: Callable[..., Any], name: str, given: int) -> Callable[..., Any]:
        """Functions that take the present instant when theirs is left out."""

        def read(*args: Any) -> Any:
            if len(args) == given:
                self._note_clock(name, sys._getframe(1))
                now = time.time()
                args = (*args, now if name in ("time.ctime", "time.gmtime", "time.localtime") else time.localtime(now))
            return calendar(*args)

        return read

    def _forbidden(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            if self._armed:
                self._refuse(f"called {name}")
            return function(*args)

        return call

    def _note_clock(self, name: str, caller: FrameType) -> None:
        if self._armed and caller.f_code.co_filename.startswith(self._folder):
            self.breaches.append(("reads-no-clock", f"called {name}()"))

    def _audit(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._armed:
            return
        self._armed = False  # what the examination itself does is not watched
        try:
            if event == "open":
                self._judge_open(args)
            elif event in LISTS:
                self._judge_reading(event, args[0])
            elif event.startswith(REFUSED):
                self._refuse(f"{event}({', '.join(repr(a)[:60] for a in args[:2])})")
        finally:
            self._armed = True

    def _judge_open(self, args: tuple[Any, ...]) -> None:
        path, mode, flags = args
        if path == os.devnull:
            return
        if any(letter in (mode or "") for letter in "wax+") or flags & WRITING:
            self._refuse(f"opened {path!r} for writing")
        self._judge_reading("opened", path)

    def _judge_reading(self, what: str, path: Any) -> None:
        if isinstance(path, str | bytes | os.PathLike):
            real = os.path.realpath(os.fsdecode(path))
            if (real + os.sep).startswith(self._readable):
                return
        self._refuse(f"{what} {path!r}, which lies outside the installed code")

    def _loads_library(self) -> bool:
        """Whether a module that is not the practice's own is being imported at this moment."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            if frame.f_code.co_filename == LOADING and frame.f_code.co_name == "_load_unlocked":
                name = str(getattr(frame.f_locals.get("spec"), "name", ""))
                return name != self._package and not name.startswith(self._package + ".")
            frame = frame.f_back
        return False

    def _refuse(self, what: str) -> None:
        if self._loads_library():
            return  # libraries look around while they load: for the processor, for IPv6, for other libraries
        self.breaches.append(("touches-nothing", what))
        raise Refused(f"a decision touches nothing outside its inputs: it {what}")

    def _profile(self, frame: FrameType, event: str, called: Any) -> None:
        if event != "c_call" or not frame.f_code.co_filename.startswith(self._folder):
            return
        name, owner = getattr(called, "__name__", ""), getattr(called, "__self__", None)
        if isinstance(owner, type) and issubclass(owner, datetime.date) and name in ("now", "today", "utcnow"):
            self.breaches.append(("reads-no-clock", f"called {owner.__name__}.{name}()"))
        elif owner is GLOBAL_RANDOM or name in ("urandom", "getrandom"):
            self.breaches.append(("draws-no-chance", f"called {name}() without Params.seed"))


class LoudOutput:
    """Stands in for ``sys.stdout`` while a practice runs: to print is to do, not to describe."""

    def __init__(self, wires: Tripwires) -> None:
        self._wires = wires

    def write(self, text: str) -> int:
        if text.strip():
            self._wires.breaches.append(("touches-nothing", f"printed {text.strip()[:60]!r}"))
        return len(text)

    def flush(self) -> None:
        """Nothing is kept."""
