"""What a building or a piece of ground is used for, in a few words that every town shares."""

from collections.abc import Mapping

from civium.twin.model.tags import Tags


def _table(**groups: str) -> dict[str, str]:
    return {value: group for group, values in groups.items() for value in values.split()}


_BUILDING = _table(
    residential="house detached residential apartments semidetached_house terrace bungalow dormitory cabin houseboat "
    "static_caravan villa farm allotment_house cottage hut",
    commercial="commercial retail office shop supermarket kiosk hotel bank restaurant pub mall marketplace",
    industrial="industrial warehouse manufacture factory hangar works storage_tank silo",
    education="school university college kindergarten library",
    health="hospital clinic",
    worship="church chapel cathedral mosque temple synagogue shrine religious monastery",
    public="civic public government townhall fire_station police museum theatre courthouse prison military sports_hall "
    "stadium grandstand pavilion sports_centre arts_centre",
    transport="train_station transportation station parking terminal bus_station",
    utility="service transformer_tower water_tower power substation pumping_station",
    farm="barn farm_auxiliary cowshed stable sty greenhouse",
    outbuilding="garage garages shed carport outbuilding roof gazebo toilets container tent bunker ruins",
)
_AMENITY = _table(
    education="school university college kindergarten library childcare music_school research_institute",
    health="hospital clinic doctors dentist nursing_home",
    worship="place_of_worship monastery",
    public="townhall police fire_station courthouse theatre arts_centre community_centre cinema prison embassy "
    "social_facility events_venue conference_centre",
    commercial="bank restaurant cafe pub bar fast_food pharmacy marketplace post_office nightclub fuel casino",
    transport="parking bus_station ferry_terminal",
)
_TOURISM = _table(commercial="hotel hostel guest_house motel", public="museum gallery")

_GROUND: Mapping[str, dict[str, str]] = {
    "landuse": _table(
        residential="residential",
        commercial="commercial retail",
        industrial="industrial quarry landfill depot port harbour",
        education="education",
        health="healthcare",
        worship="religious",
        public="institutional civic_admin",
        transport="railway garages highway",
        military="military",
        construction="construction brownfield greenfield",
        green="grass forest village_green recreation_ground meadow flowerbed greenery cemetery shrubs",
        farm="farmland farmyard orchard vineyard allotments greenhouse_horticulture plant_nursery animal_keeping",
    ),
    "leisure": _table(
        green="park garden nature_reserve dog_park common",
        sport="pitch sports_centre stadium track golf_course swimming_pool playground fitness_station miniature_golf "
        "marina ice_rink water_park sports_hall",
    ),
    "natural": _table(
        green="wood scrub grassland heath shrubbery tundra",
        bare="bare_rock scree shingle sand beach rock stone cliff",
        wetland="wetland",
    ),
    "amenity": _table(
        education="school university college kindergarten",
        health="hospital clinic",
        worship="place_of_worship grave_yard monastery",
        public="prison townhall fire_station police marketplace",
        transport="bus_station ferry_terminal parking",
    ),
    "tourism": _table(leisure="zoo theme_park camp_site caravan_site"),
    "highway": _table(square="pedestrian footway living_street"),
}

BUILT_GROUND = frozenset(
    {"residential", "commercial", "industrial", "education", "health", "worship", "public", "farm", "transport"}
)
"""Groups of ground that tell what an untagged building on it is for."""


def building_use(tags: Tags) -> str | None:
    """The use that a building's own tags tell, or None: a fine tag (``amenity``) over the coarse ``building``."""
    for key, table in (("amenity", _AMENITY), ("tourism", _TOURISM)):
        if use := table.get(tags.get(key, "").split(";")[0]):
            return use
    if use := _BUILDING.get(tags.get("building", "").split(";")[0]):
        return use
    if "office" in tags or "shop" in tags:
        return "commercial"
    if any(key in tags for key in ("building:flats", "addr:flats")):
        return "residential"
    return _BUILDING.get(tags.get("building:use", "").split(";")[0])


def ground_use(tags: Tags) -> tuple[str, str] | None:
    """Group and kind (``landuse=residential``) of a piece of ground, or None if it is none.

    A carriageway is no ground: ``highway`` counts only for squares (``area=yes`` or a multipolygon).
    """
    for key, table in _GROUND.items():
        value = tags.get(key, "")
        if key == "highway" and not (tags.get("area") == "yes" or tags.get("type") == "multipolygon"):
            continue
        if group := table.get(value):
            return group, f"{key}={value}"
    return None
