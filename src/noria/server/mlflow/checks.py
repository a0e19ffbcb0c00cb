"""What MLflow's protocol allows for names and values, with its own sentences for what it does not. Pure.

Whether a request has the fields that it needs is wire; what Noria itself can keep is the store's to say. Called by the nouns' files.
"""

import re
from functools import lru_cache
from posixpath import normpath
from urllib.parse import unquote, urlparse, urlunparse

from noria.server.mlflow.errors import Refused
from noria.server.mlflow.wire import invalid

KEY_LIMIT = 250
PARAM_LIMIT = 6000
TAG_LIMIT = 8000
EXPERIMENT_NAME_LIMIT = 500
EXPERIMENT_TAG_LIMIT = 5000
LOCATION_LIMIT = 2048
METRICS_LIMIT = 1000
PARAMS_LIMIT = 100
BATCH_LIMIT = 1000
RESULTS_LIMIT = 50_000
DATASET_LIMITS = {"name": 500, "digest": 36, "source": 65_535, "schema": 1_048_575, "profile": 16_777_215}
INPUT_TAG_KEY_LIMIT = 255
INPUT_TAG_VALUE_LIMIT = 500
MODEL_NAME_REFUSES = ("/", ":", ".", "%", '"', "'")

_NAME = re.compile(r"^[/\w.\- :]*$")
_RUN_ID = re.compile(r"^[a-zA-Z0-9][\w\-]{0,255}$")
_CHARACTERS = "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and slashes (/)."


@lru_cache(maxsize=16_384)
def fault_of_name(name: str) -> str:
    """What is wrong with the name of a metric, param or tag; '' if nothing is.

    >>> fault_of_name("val/loss"), fault_of_name("a/../b").endswith("This name would resolve to 'b'")
    ('', True)
    """
    if not _NAME.match(name):
        return _CHARACTERS
    norm = normpath(name)
    if norm != name or norm == "." or norm.startswith(("..", "/")):
        return (
            "Names may be treated as files in certain cases, and must not resolve to other names when treated as such."
            f" This name would resolve to {norm!r}"
        )
    return ""


def name(text: str, path: str) -> str:
    """The name of a metric, param or tag. path: what a refusal calls it. Raises Refused."""
    if fault := fault_of_name(text):
        raise Refused(invalid(path, text, fault))
    return text


def within(text: str, limit: int, what: str) -> str:
    """A text that is not too long. Raises Refused."""
    if len(text) > limit:
        raise Refused(f"'{what}' exceeds the maximum length of {limit} characters")
    return text


def param(key: str, value: str, path: str = "") -> str:
    """A param's value as it is kept: what is too long is cut, as MLflow's server does. Raises Refused for its key."""
    within(name(key, f"{path}.key" if path else "key"), KEY_LIMIT, "Param key")
    return value[:PARAM_LIMIT]


def tag(key: str, value: str, path: str = "") -> str:
    """A tag's value as it is kept: what is too long is cut, as MLflow's server does. Raises Refused for its key."""
    place = f"{path}.key" if path else "key"
    within(name(key, place), KEY_LIMIT, place)
    return value[:TAG_LIMIT]


def experiment_tag(key: str, value: str) -> str:
    """A tag of an experiment. Raises Refused, also for a value that is too long."""
    within(name(key, "key"), KEY_LIMIT, "key")
    return within(value, EXPERIMENT_TAG_LIMIT, "value")


def run_id(text: str) -> str:
    """The id of a run. Raises Refused."""
    if not _RUN_ID.match(text):
        raise Refused(invalid("run_id", text))
    return text


def metric(key: str, value: float, timestamp: int, *, path: str = "") -> None:
    """One point of a series. Raises Refused."""
    prefix = f"{path}." if path else ""
    name(key, f"{prefix}name")
    if timestamp < 0:
        why = f"metric '{key}' (value={value}). Timestamp must be a nonnegative long (64-bit integer) "
        raise Refused(invalid(f"{prefix}timestamp", timestamp, why))
    within(key, KEY_LIMIT, "Metric name")


def batch_limits(metrics: int, params: int, tags: int) -> None:
    """How much may be logged at once. Raises Refused."""
    limits = (
        ("metrics", METRICS_LIMIT, metrics),
        ("params", PARAMS_LIMIT, params),
        ("tags", PARAMS_LIMIT, tags),
        ("metrics, params, and tags", BATCH_LIMIT, metrics + params + tags),
    )
    for what, limit, count in limits:
        if count > limit:
            raise Refused(
                f"A batch logging request can contain at most {limit} {what}. Got {count} {what}. "
                f"Please split up {what} across multiple requests and try again."
            )


def experiment_name(text: str) -> str:
    """The name of an experiment. Raises Refused."""
    if not text.strip():
        raise Refused(f"Invalid experiment name: '{text}'")
    return within(text, EXPERIMENT_NAME_LIMIT, "name")


def location(text: str) -> str:
    """An artifact location that a client gave, a text that only clients open. Raises Refused."""
    try:
        parts = urlparse(text)
    except ValueError as error:
        raise Refused(invalid("artifact_location", text, f"{error}.")) from None
    if parts.fragment or parts.params:
        raise Refused("'artifact_location' URL can't include fragments or params.")
    if ".." in _decoded(parts.query):
        raise Refused("Invalid query string")
    if len(text) > LOCATION_LIMIT:
        raise Refused(
            f"Invalid artifact path length. The length of the artifact path cannot be greater than {LOCATION_LIMIT} characters."
        )
    return text


def _decoded(query: str) -> str:
    """A query without any layer of percent signs. Raises Refused if there is no end to them."""
    for _ in range(10):
        plain = urlunparse(urlparse(unquote(query)))
        if plain == query:
            return query
        query = plain
    raise Refused("Invalid query string")


def max_results(count: int | None, default: int) -> int:
    """How many results a search gives at once. Raises Refused."""
    if count is None:
        return default
    if count < 1:
        raise Refused(f"Invalid value {count} for parameter 'max_results' supplied. It must be a positive integer")
    if count > RESULTS_LIMIT:
        raise Refused(f"Invalid value {count} for parameter 'max_results' supplied. It must be at most {RESULTS_LIMIT}")
    return count


def model_name(text: str | None) -> str | None:
    """The name of a logged model, if one was given. Raises Refused."""
    if text is not None and (not text or any(letter in text for letter in MODEL_NAME_REFUSES)):
        raise Refused(
            f"Invalid model name ({text!r}) provided. Model name must be a non-empty string and cannot contain the "
            f"following characters: {MODEL_NAME_REFUSES}"
        )
    return text
