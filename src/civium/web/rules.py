"""Who may come to which route. What of it they get is a question of streams, which ``engines.rights`` answers.

A test holds this table against the routes: one without a rule fails it, and is for administrators alone until then.
"""

from enum import StrEnum

from civium.core import InputRefused
from civium.core.rights import STAFF, Caller, Role


class NotAllowed(InputRefused):
    """The caller may not do this: 401 where a token could help, 403 where its token does not reach."""

    def __init__(self, caller: Caller, what: str) -> None:
        if caller.role is Role.PUBLIC:
            super().__init__(f"this needs {what}: send Authorization: Bearer TOKEN, or log in", status=401)
        else:
            super().__init__(f"'{caller.name}' ({caller.role}) may not do this: it needs {what}", status=403)


class Need(StrEnum):
    """What a caller must be, as the refusal says it."""

    NOTHING = "nothing"  # anyone: what is not for the caller is left out, or refused behind the route
    WRITER = "a token that may write"
    WATCH = "a token of staff, or to be on the machine of the city"
    STAFF = "the token of an operator, a department or an administrator"
    CITY = "the token of an administrator, or of an operator of the whole city"
    ADMINISTRATOR = "an administrator's token"


def meets(caller: Caller, need: Need) -> bool:
    """Whether a caller is what a route needs."""
    match need:
        case Need.NOTHING:
            return True
        case Need.WRITER:
            return caller.trusted or caller.role is not Role.PUBLIC
        case Need.WATCH:
            return watches(caller)
        case Need.STAFF:
            return caller.role in STAFF
        case Need.CITY:
            return caller.everywhere
    return caller.role is Role.ADMINISTRATOR


def watches(caller: Caller) -> bool:
    """Whether a caller may look into the workings of the city: how much comes from where."""
    return caller.trusted or caller.role in STAFF


_ANYWHERE = "/v1.1/{path:path}"
_ENTITIES = (
    *("Things", "Locations", "HistoricalLocations", "Datastreams", "Sensors", "ObservedProperties", "Observations"),
    "MultiDatastreams",
    *("FeaturesOfInterest", "TaskingCapabilities", "Actuators", "Tasks"),
)
_OF_ANYONE = (
    *(f"GET {path}" for path in ("/", "/map.svg", "/decisions/{decision}", "/health", "/ready", "/docs", "/api/me")),
    *(f"GET /api/{name}" for name in ("status", "practices", "decisions", "notices", "incidents")),
    *(f"GET /api/{name}" for name in ("latest", "series", "aggregate", "practices/{practice}/view")),
    *(f"GET /api/decisions/{{decision}}{rest}" for rest in ("", "/view", "/state")),
    *(f"{method} /v1.1" for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")),
    *(f"GET /v1.1/{plural}{one}" for plural in _ENTITIES for one in ("", "({id})")),
    *(f"{method} {_ANYWHERE}" for method in ("GET", "HEAD", "OPTIONS")),
    *(
        "GET /console",
        "GET /console/{path:path}",
        "GET /tiles/{zoom}/{x}/{y}.mvt",
        "GET /tiles/terrain/{zoom}/{x}/{y}.png",
    ),
    *(f"GET /register{path}" for path in ("", "/{practice}", "/export/{standard}.{form}")),
    *("GET /datex2/v3/situations.json", "GET /datex2/v3/situations/events"),
    *("GET /ask", "POST /ask", "GET /cases/{key}"),
    *(f"GET /api/map{path}" for path in ("", "/places", "/values", "/past", "/sun")),
    *(
        "GET /api/events",
        "GET /api/desk",
        "GET /api/things",
        "GET /api/things/{thing}",
        "GET /api/streams/{stream}/chart",
        "GET /api/streams/{stream}/gaps",
    ),
    *("GET /api/practices/{practice}", "GET /api/practices/{practice}/score", "GET /api/backtests"),
    *("POST /v1.1/$batch", "POST /api/login", "POST /api/logout", "POST /sources/{name}"),
    *("GET /api/login/openid", "GET /api/login/openid/return"),
)
_OF_WRITERS = (
    *("POST /v1.1/CreateObservations", "POST /v1.1/Observations", "POST /v1.1/Datastreams({stream:int})/Observations"),
    "POST /v1.1/MultiDatastreams({stream:int})/Observations",
    *(f"{method} {_ANYWHERE}" for method in ("POST", "PATCH", "PUT", "DELETE")),
    *("POST /bulk/observations", "POST /api/register", "POST /clock"),
)
_OF_STAFF = (
    *(f"POST /api/practices/{{practice}}/{what}" for what in ("mandate", "parameters")),
    "POST /api/decisions/{decision}/commands/{number}/{verdict}",
    *("POST /api/backtests", "GET /api/cases", "POST /api/cases/{key}/answer"),
    *("POST /v1.1/Tasks", "POST /v1.1/TaskingCapabilities({capability:int})/Tasks", "DELETE /v1.1/Tasks({task:int})"),
)
_OF_ADMINISTRATORS = (
    *("GET /api/ledger", "GET /api/checkup", "GET /api/dead-letters"),
    *("POST /api/dead-letters/retry", "POST /api/dead-letters/drop"),
    *("POST /api/backups", "GET /api/backups/{cut}/streams/{stream}", "GET /api/backups/{cut}/files"),
    *("POST /api/backups/{cut}/renew", "POST /api/backups/{cut}/end"),
    *("GET /api/tokens", "POST /api/tokens", "DELETE /api/tokens/{token}", "GET /api/audit"),
)
_OF_CITY = (  # an alarm may be of any stream
    *("POST /api/switch", "GET /api/alarms", "GET /api/alarms/{identity}"),
    *(f"POST /api/alarms/{{identity}}/{what}" for what in ("ack", "shelve", "unshelve", "clear")),
    *(f"{method} /api/alarms/{what}" for what in ("rules", "on-call", "push") for method in ("GET", "POST")),
    *(f"DELETE /api/alarms/{what}" for what in ("rules/{key}", "on-call/{name}", "push/{key}")),
    *("GET /api/calibrations", "POST /api/calibrations", "DELETE /api/calibrations", "DELETE /api/calibrations/{key}"),
    *("GET /api/maintenance", "POST /api/maintenance", "POST /api/maintenance/{key}/end"),
)
RULES: dict[str, Need] = {
    **dict.fromkeys(_OF_ANYONE, Need.NOTHING),
    **dict.fromkeys(_OF_WRITERS, Need.WRITER),
    "GET /metrics": Need.WATCH,
    **dict.fromkeys(_OF_STAFF, Need.STAFF),
    **dict.fromkeys(_OF_ADMINISTRATORS, Need.ADMINISTRATOR),
    **dict.fromkeys(_OF_CITY, Need.CITY),
}
