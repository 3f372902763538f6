"""What the service says that it conforms to, on its landing page."""

from civium.sources.sensorthings.model import ENTITIES, TASKING

_REQUESTED = (
    "status-codes",
    "query-status-codes",
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
_TASKED = tuple(
    f"http://www.opengis.net/spec/iot_tasking/1.0/req/{name}"
    for name in ("tasking-capability", "actuator", "task", "create-tasks")
)
_TASKED_BY_MQTT = tuple(
    f"http://www.opengis.net/spec/iot_tasking/1.0/req/{name}"
    for name in ("create-tasks-via-mqtt", "receive-updates-via-mqtt")
)
_SENSING = "http://www.opengis.net/spec/iot_sensing/1.1/req/"
# Of these the landing page also says where.
MQTT = (
    _SENSING + "create-observations-via-mqtt/observations-creation",
    _SENSING + "receive-updates-via-mqtt/receive-updates",
    *_TASKED_BY_MQTT,
)
_OTHERS = (*TASKING, "MultiDatastream")
CONFORMANCE = (
    *_TASKED,
    *(
        _SENSING + name
        for name in (
            "datamodel",
            *(f"datamodel/{e.name[0].lower()}{e.name[1:]}" for e in ENTITIES if e.name not in _OTHERS),
            "resource-path/resource-path-to-entities",
            "request-data",
            *(f"request-data/{name}" for name in _REQUESTED),
            "create-update-delete",
            "create-update-delete/create-entity",
            "create-update-delete/link-to-existing-entities",
            "create-update-delete/deep-insert",
            "create-update-delete/deep-insert-status-code",
            "create-update-delete/update-entity",
            "create-update-delete/update-entity-put",
            "create-update-delete/update-entity-jsonpatch",
            "create-update-delete/delete-entity",
            "create-update-delete/historical-location-auto-creation",
            "create-update-delete/historical-location-manual-creation",
            "batch-request/batch-request",
            "data-array/data-array",
            "multi-datastream",
            "multi-datastream/properties",
            "multi-datastream/relations",
            "multi-datastream/constraints",
        )
    ),
    *MQTT,
    "https://fraunhoferiosb.github.io/FROST-Server/extensions/JsonBatchRequest.html",
    "https://fraunhoferiosb.github.io/FROST-Server/extensions/GeoJSON-ResultFormat.html",
    "https://github.com/INSIDE-information-systems/SensorThingsAPI/blob/master/CSV-ResultFormat/CSV-ResultFormat.md",
)
