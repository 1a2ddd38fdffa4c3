"""Attribute values of every type, as they are sent, and as they read back from their texts."""

import base64
import json
import math

EVERY_TYPE = {
    "text": "ünïcode \N{SNOWMAN} 'quoted' \\ \t \n",
    "text.empty": "",
    "text.long": "x" * 70_000,
    "text.digits": "1",
    "bool.true": True,
    "bool.false": False,
    "int": 1,
    "int.min": -(2**63),
    "int.max": 2**63 - 1,
    "double": 0.1,
    "double.whole": 1.0,
    "double.small": 5e-324,
    "double.large": 1.7976931348623157e308,
    "double.minus.zero": -0.0,
    "double.nan": math.nan,
    "double.inf": math.inf,
    "double.minus.inf": -math.inf,
    "bytes": bytes(range(256)),
    "bytes.empty": b"",
    "none": None,
    "texts": ["a", "", "ö\"\\"],
    "bools": [True, False],
    "ints": [1, -(2**63), 2**63 - 1],
    "doubles": [0.5, 1.0, 1e300, math.inf],
    "sequence.empty": [],
    "sequence.mixed": ["1", 1, 1.0, True, None, b"\x00\xff"],
    "sequence.nested": [[1, [2, [3, []]]], ["x"]],
    "map": {"z": 1, "a": {"deep": [1, {"er": "x"}]}, "empty": {}},
}


def any_value(value):
    """A value as it reads back from its text."""
    if isinstance(value, (list, tuple, dict)):
        return in_json(value)
    return value


def in_json(value):
    """A value inside an array or a map, which are stored as JSON."""
    if isinstance(value, (list, tuple)):
        return [in_json(part) for part in value]
    if isinstance(value, dict):
        return {key: in_json(part) for key, part in value.items()}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    return value


def attributes(values):
    """By key, since a promoted attribute has no place among the others."""
    return {key: any_value(values[key]) for key in sorted(values)}


def typed(attribute_map, types):
    """Key, text and type byte of every entry."""
    return f"arrayZip(mapKeys({attribute_map}), mapValues({attribute_map}), {types})"


# By the type byte (schema/README.md).
DECODERS = [
    str,
    {"true": True, "false": False}.__getitem__,
    int,
    float,
    base64.b64decode,
    json.loads,
    json.loads,
    {"": None}.__getitem__,
]


def decoded(entries):
    values = {key: DECODERS[kind](text) for key, text, kind in entries}
    assert len(values) == len(entries), f"a key twice: {entries}"
    return {key: values[key] for key in sorted(values)}


def as_text(value):
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, str) or value is None:
        return value or ""
    return json.dumps(value, separators=(",", ":"))


def shown_id(stored):
    """In the views an id of zeros, which names nothing, is empty."""
    return stored if stored.strip("0") else ""
