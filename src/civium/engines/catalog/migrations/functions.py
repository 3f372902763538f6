"""PostgreSQL's functions of the first catalogue: they mean what SQLite's own do, on text that may be no JSON at all.

A later change of one of them is a step of its own.
"""

# What JSON holds behind a path ($."key"."key") as text; null if it is of another kind, or not to be had as one.
_JSON = """
CREATE FUNCTION civium_json(document text, path text, kind text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  value json;
  key text;
BEGIN
  value := document::json;
  FOREACH key IN ARRAY string_to_array(substr(path, 4, length(path) - 4), '"."') LOOP
    value := value -> key;
  END LOOP;
  IF kind IS NOT NULL AND json_typeof(value) <> kind THEN
    RETURN NULL;
  END IF;
  IF kind = 'number' THEN
    PERFORM (value #>> '{}')::double precision;
  END IF;
  RETURN value #>> '{}';
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
  RETURN NULL;
END $$
"""
# Coordinate 0 or 1 of a GeoJSON Point or of a Feature that is one.
_POINT = """
CREATE FUNCTION civium_point(document text, axis integer) RETURNS double precision LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  shape json;
BEGIN
  shape := document::json;
  IF shape ->> 'type' IS DISTINCT FROM 'Point' THEN
    shape := shape -> 'geometry';
  END IF;
  IF shape ->> 'type' = 'Point' THEN
    RETURN (shape -> 'coordinates' ->> axis)::double precision;
  END IF;
  RETURN NULL;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
  RETURN NULL;
END $$
"""
# The nearest whole number, a half away from zero; from 2^52 on a double is whole.
_ROUND = """
CREATE FUNCTION civium_round(number double precision) RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN abs(number) < 4503599627370496
    THEN trunc(number + CASE WHEN number < 0 THEN -0.5 ELSE 0.5 END) ELSE number END
$$
"""
# With the sign of the dividend, as of C's fmod for whole numbers; a fraction may differ by its last digits.
_MOD = """
CREATE FUNCTION civium_mod(one double precision, other double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE AS $$ SELECT CASE WHEN other <> 0 THEN one - other * trunc(one / other) END $$
"""
# The whole second of an instant [us since epoch], in UTC.
_INSTANT = """
CREATE FUNCTION civium_instant(instant bigint) RETURNS timestamp LANGUAGE sql IMMUTABLE AS $$
  SELECT to_timestamp(((instant - (instant % 1000000 + 1000000) % 1000000) / 1000000)::double precision)
    AT TIME ZONE 'UTC'
$$
"""
FUNCTIONS = (_JSON, _POINT, _ROUND, _MOD, _INSTANT)
