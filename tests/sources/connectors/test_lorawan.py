"""Uplinks of The Things Stack and ChirpStack, as their own documentation shows them, and payloads by declared codec."""

import base64
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civium.core import from_datetime
from civium.engines.settings import SettingsWrong
from civium.sources.connectors import chirpstack, things_stack
from civium.sources.feeds import codecs
from civium.sources.feeds.codecs import Codec
from civium.sources.feeds.lorawan import LorawanSettings
from civium.sources.feeds.source import Unreadable

PAYLOADS = Path(__file__).with_name("payloads")
UP, JOIN = (PAYLOADS / "things_stack_up.json").read_bytes(), (PAYLOADS / "things_stack_join.json").read_bytes()
CHIRPSTACK = (PAYLOADS / "chirpstack_up.json").read_bytes()


def settings(*codec: Codec) -> LorawanSettings:
    return LorawanSettings(kind="things_stack", codecs=codec)


def changed(body: bytes, **more: Any) -> bytes:
    return json.dumps({**json.loads(body), **more}).encode()


def test_an_uplink_of_the_things_stack_is_one_item_of_its_device_session_and_counter() -> None:
    (item,) = things_stack.read(settings(), UP)
    assert item.said == {
        "device": "0004A30B001C0530", "name": "eui-0004a30b001c0530", "application": "city-trees", "port": 2,
        "counter": 18, "rssi": -65, "snr": 11.5, "values": {"temperature": 22.5, "humidity": 50},
    }  # fmt: skip
    assert item.time == from_datetime(datetime.fromisoformat("2026-06-01T12:00:00.971437Z"))
    assert item.identity == "0004A30B001C0530/AXA50tHUIwTQyfXF1HbAYA==/18"


def test_a_counter_of_zero_is_left_out_by_the_things_stack() -> None:
    message = {k: v for k, v in json.loads(UP)["uplink_message"].items() if k not in ("f_cnt", "f_port")}
    (item,) = things_stack.read(settings(), changed(UP, uplink_message=message))
    assert (item.said["counter"], item.said["port"]) == (0, 0)


def test_what_is_no_uplink_holds_no_reading() -> None:
    assert things_stack.read(settings(), JOIN) == []
    joined = {name: json.loads(CHIRPSTACK)[name] for name in ("deduplicationId", "time", "deviceInfo", "devAddr")}
    assert chirpstack.read(settings(), json.dumps(joined).encode()) == []


def test_an_uplink_of_chirpstack_is_decoded_by_the_declared_numbers() -> None:
    codec = Codec(form="numbers", port=1, layout=">hH", names=("temperature", "depth"), factors=(0.1, 0.001))
    (item,) = chirpstack.read(settings(codec), CHIRPSTACK)
    assert item.said["values"] == pytest.approx({"temperature": -7.4, "depth": 2.136})
    assert (item.said["device"], item.said["tags"]) == ("0101010101010101", {"district": "north"})
    assert item.identity == "0101010101010101/00189440/4"


def test_cayenne_payloads_name_type_and_channel() -> None:
    (item,) = things_stack.read(settings(Codec(form="cayenne")), UP)
    assert item.said["values"] == pytest.approx({"temperature_1": 22.5, "relative_humidity_2": 50.0})
    gps = bytes.fromhex("018806765ff2960a0003e8")  # the example of its documentation
    assert codecs.decode((Codec(form="cayenne"),), 1, gps[:1] + b"\x88" + gps[2:], None) == pytest.approx(
        {"gps_1_latitude": 42.3519, "gps_1_longitude": -87.9094, "gps_1_altitude": 10.0}
    )


@pytest.mark.parametrize(
    ("codec", "data", "why"),
    [
        (Codec(form="numbers", layout=">hH", names=("a", "b")), b"\x01", "payload of 1 byte is not the 4"),
        (Codec(form="cayenne"), b"\x01\x67\x00", "ends within"),
        (Codec(form="cayenne"), b"\x01", "no type -1"),
        (Codec(form="cayenne"), b"\x01\x99\x00", "no type 153"),
        (Codec(form="cayenne", port=7), b"", "no codec is declared for port 3"),
        (Codec(), b"\x01", "has not decoded it"),
    ],
)
def test_a_payload_that_its_codec_does_not_fit_is_told(codec: Codec, data: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        codecs.decode((codec,), 3, data, None)


@pytest.mark.parametrize(
    ("codec", "why"),
    [
        (Codec(form="protobuf"), "not network"),
        (Codec(form="numbers", layout=">hz", names=("a",)), "layout"),
        (Codec(form="numbers", layout="hH", names=("a", "b")), "which byte comes first"),
        (Codec(form="numbers", layout=">hH", names=("a",)), "2 numbers"),
    ],
)
def test_a_codec_that_cannot_be_is_refused_at_the_start(codec: Codec, why: str) -> None:
    with pytest.raises(SettingsWrong, match=why):
        codecs.check((codec,))


@given(st.binary(max_size=40))
def test_any_payload_is_decoded_or_unreadable(data: bytes) -> None:
    message = {**json.loads(UP)["uplink_message"], "frm_payload": base64.b64encode(data).decode()}
    try:
        (item,) = things_stack.read(settings(Codec(form="cayenne")), changed(UP, uplink_message=message))
    except Unreadable:
        return
    assert all(isinstance(value, float) for value in item.said["values"].values())


@pytest.mark.parametrize("read", [things_stack.read, chirpstack.read])
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "end_device_ids",
                        "uplink_message",
                        "frm_payload",
                        "deviceInfo",
                        "devAddr",
                        "data",
                        "time",
                        "rxInfo",
                    ]
                ),
                inner,
            )
        ),
        max_leaves=12,
    )
)
def test_a_message_of_any_form_is_read_or_unreadable(read: Any, said: Any) -> None:
    try:
        read(settings(), json.dumps(said).encode())
    except Unreadable:
        return
