"""What the service says that it conforms to, on its landing page: requirement classes, and the requirements in them."""

import re

from civium.sources.sensorthings.model import ENTITIES, TASKING

_SENSING = "http://www.opengis.net/spec/iot_sensing/1.1/req/"
_TASKED = "http://www.opengis.net/spec/iot_tasking/1.0/req/"
_REQUESTED = (
    "status-code",
    "query-status-code",
    "order",
    "expand",
    "select",
    "orderby",
    "top",
    "skip",
    "count",
    "filter",
    "built-in-filter-operations",
    "built-in-query-functions",
    "pagination",
)
_CHANGED = (
    "create-entity",
    "link-to-existing-entities",
    "deep-insert",
    "deep-insert-status-code",
    "update-entity",
    "update-entity-put",
    "update-entity-jsonpatch",
    "delete-entity",
    "historical-location-auto-creation",
    "historical-location-manual-creation",
)
_MULTI = "MultiDatastream"


def _class_of(name: str) -> str:
    """``HistoricalLocation`` as a part of the address of its requirements."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()


def _of_entity(address: str) -> tuple[str, ...]:
    return (address, f"{address}/properties", f"{address}/relations")


# Of these the landing page also says where.
MQTT = (
    f"{_SENSING}create-observations-via-mqtt/observations-creation",
    f"{_SENSING}receive-updates-via-mqtt/receive-updates",
    f"{_TASKED}create-tasks-via-mqtt",
    f"{_TASKED}receive-updates-via-mqtt",
)
CONFORMANCE = (
    *(one for name in TASKING for one in _of_entity(_TASKED + _class_of(name))),
    f"{_TASKED}create-tasks",
    f"{_TASKED}create-tasks/task-creation",
    f"{_SENSING}datamodel",
    f"{_SENSING}datamodel/entity-control-information/common-control-information",
    *(
        one
        for entity in ENTITIES
        if entity.name not in (*TASKING, _MULTI)
        for one in _of_entity(f"{_SENSING}datamodel/{_class_of(entity.name)}")
    ),
    f"{_SENSING}resource-path",
    f"{_SENSING}resource-path/resource-path-to-entities",
    f"{_SENSING}request-data",
    *(f"{_SENSING}request-data/{name}" for name in _REQUESTED),
    f"{_SENSING}create-update-delete",
    *(f"{_SENSING}create-update-delete/{name}" for name in _CHANGED),
    f"{_SENSING}batch-request/batch-request",
    f"{_SENSING}data-array/data-array",
    *_of_entity(f"{_SENSING}multi-datastream"),
    f"{_SENSING}multi-datastream/constraints",
    *MQTT,
    f"{_TASKED}create-tasks-via-mqtt/task-creation",
    f"{_TASKED}receive-updates-via-mqtt/receive-updated",
    "https://fraunhoferiosb.github.io/FROST-Server/extensions/JsonBatchRequest.html",
    "https://fraunhoferiosb.github.io/FROST-Server/extensions/GeoJSON-ResultFormat.html",
    "https://github.com/INSIDE-information-systems/SensorThingsAPI/blob/master/CSV-ResultFormat/CSV-ResultFormat.md",
)
