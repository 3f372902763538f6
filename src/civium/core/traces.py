"""Traces for OpenTelemetry: spans of what the city does, with the ids by which its log and its record know it.

Off unless ``begin`` was called; a span is nothing but a call then. It holds ids and counts, as a line of the log does:
no names of people, no tokens, no readings.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from civium.core.extras import require

_EXTRA = "traces"
_SDK = "opentelemetry.sdk"
_EXPORTER = "opentelemetry.exporter.otlp.proto.http.trace_exporter"


class Span(Protocol):
    """What is told of one piece of work."""

    def set_attribute(self, key: str, value: Any) -> None: ...


class _Nothing:
    def set_attribute(self, key: str, value: Any) -> None:
        """Nobody listens."""


_NOTHING = _Nothing()
_tracer: Any = None


def on() -> bool:
    """Whether spans are told to anybody."""
    return _tracer is not None


@contextmanager
def span(name: str, caller: Mapping[str, str] | None = None, **facts: Any) -> Iterator[Span]:
    """A span around what is done inside, within that of whoever does it; what is raised is told by its type alone.

    ``facts`` stand under ``civium.``; ``caller``: headers of a request, which may name the span that it is within.
    """
    if _tracer is None:
        yield _NOTHING
        return
    context = None
    if caller is not None:
        context = require("opentelemetry.propagate", _EXTRA).extract(caller)
    told = {f"civium.{key}": fact for key, fact in facts.items()}
    how = {"record_exception": False, "set_status_on_exception": False}
    with _tracer.start_as_current_span(name, context=context, attributes=told, **how) as current:
        try:
            yield current
        except Exception as error:
            status = require("opentelemetry.trace", _EXTRA)
            current.set_status(status.Status(status.StatusCode.ERROR, type(error).__name__))
            raise


def tell(**facts: Any) -> None:
    """Tell more of the span that this is within, under ``civium.``."""
    if _tracer is not None:
        current = require("opentelemetry.trace", _EXTRA).get_current_span()
        current.set_attributes({f"civium.{key}": fact for key, fact in facts.items()})


def begin(endpoint: str, ratio: float, city: str, version: str) -> Callable[[], None]:
    """Tell spans to a collector at ``endpoint`` (OTLP over HTTP) from now on, of ``ratio`` of all traces.

    What the collector wants besides stands in OpenTelemetry's own variables (``OTEL_EXPORTER_OTLP_HEADERS``). Returns
    what ends it, and waits until all was told. Raises ExtraMissing.
    """
    global _tracer
    sdk, export = require(f"{_SDK}.trace", _EXTRA), require(f"{_SDK}.trace.export", _EXTRA)
    sampling, resources = require(f"{_SDK}.trace.sampling", _EXTRA), require(f"{_SDK}.resources", _EXTRA)
    exporter = require(_EXPORTER, _EXTRA).OTLPSpanExporter(endpoint=endpoint)
    who = {"service.name": "civium", "service.version": version, "civium.city": city}
    provider = sdk.TracerProvider(
        sampler=sampling.ParentBased(sampling.TraceIdRatioBased(ratio)), resource=resources.Resource.create(who)
    )
    provider.add_span_processor(export.BatchSpanProcessor(exporter))
    _tracer = provider.get_tracer("civium", version)

    def ended() -> None:
        global _tracer
        _tracer = None
        provider.shutdown()

    return ended
