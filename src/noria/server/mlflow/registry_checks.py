"""What a registry's names, numbers, aliases, tags, stages and sources must be, refused in MLflow's words. Reads the store only for a source's owner.

Called by registered_models, model_versions and webhooks.
"""

import posixpath
import re
from collections.abc import Sequence
from urllib.parse import unquote, unquote_plus, urlsplit

import msgspec

from noria.domain.ids import RunId, TrainedModelId
from noria.errors import NotFound
from noria.server.mlflow import checks, wire
from noria.server.mlflow.errors import Refused, missing
from noria.server.mlflow.routing import Context

RESERVED = "noria.mlflow."
"""Tags under which the translation keeps what has no noun of its own (stages); never shown to clients, who cannot set them either."""
STAGE_TAG = RESERVED + "stage"
LINK_TAG = RESERVED + "run_link"
PLACE_TAG = RESERVED + "storage_location"
STAGES = ("None", "Staging", "Production", "Archived")
ACTIVE_STAGES = ["Staging", "Production"]
PROMPT_TAG = "mlflow.prompt.is_prompt"

KEY_LIMIT = 250
VALUE_LIMIT = 100_000
ALIAS_LIMIT = 255
ALIAS = re.compile(r"[\w\-]*")
VERSION_ALIAS = re.compile(r"[vV]\d+")
LATEST = "latest"
MOST = 2**31
"""Numbers of versions end here, in MLflow's databases and in Noria's."""


class Tag(msgspec.Struct):
    """A tag as it is sent and shown."""

    key: str | None = None
    value: str | None = None


def number(version: str) -> int:
    """A version's number from its text. Raises Refused; 0, which no version has, for one that cannot exist."""
    try:
        found = int(version)
    except ValueError:
        raise Refused(f"Parameter 'version' must be an integer, got '{version}'.") from None
    return found if 0 < found < MOST else 0


def check_alias(alias: str) -> None:
    """An alias's characters and length."""
    if not alias:
        raise Refused("Registered model alias name cannot be empty.")
    if not ALIAS.fullmatch(alias):
        raise Refused(
            f"Invalid alias name: '{alias}'. Names may only contain alphanumerics, underscores (_), and dashes (-)."
        )
    checks.within(alias, ALIAS_LIMIT, "Registered model alias name")


def check_free_alias(alias: str) -> None:
    """An alias that may be set: none that means something already."""
    if alias.lower() == LATEST:
        raise Refused("'latest' alias name (case insensitive) is reserved.")
    if VERSION_ALIAS.fullmatch(alias):
        raise Refused(f"Version alias name '{alias}' is reserved.")


def check_tag_key(key: str | None) -> str:
    """A tag's key."""
    if key is None:
        raise Refused("Missing value for required parameter 'key'.")
    checks.name(key, "key")
    if key.startswith(RESERVED):
        raise Refused(wire.invalid("key", key, "this server keeps notes of its own under such names."))
    return key


def check_tag(key: str | None, value: str | None) -> tuple[str, str]:
    """A tag as it may be set. Raises Refused."""
    checked = check_tag_key(key)
    return checks.within(checked, KEY_LIMIT, "key"), checks.within(value or "", VALUE_LIMIT, "value")


def tags_of(given: Sequence[Tag] | None) -> dict[str, str]:
    """The tags of a request, the last value of each key. Raises Refused."""
    return dict(check_tag(tag.key, tag.value) for tag in given or ())


def check_name(name: str) -> None:
    """A model's name. Raises Refused."""
    if not name.strip():
        raise Refused("Missing value for required parameter 'name'.")
    if "/" in name or ":" in name:
        raise Refused(f"Invalid model name '{name}'. Names cannot contain '/' or ':'.")
    if "\0" in name:
        raise Refused(wire.invalid("name", name, "it holds a character that no store keeps."))


def stage_of(text: str) -> str:
    """A stage by its name, in whatever case. Raises Refused."""
    for stage in STAGES:
        if stage.lower() == text.lower():
            return stage
    raise Refused(f"Invalid Model Version stage: {text}. Value must be one of {', '.join(STAGES)}.")


def check_source(source: str, context: Context, *, run_id: str, model_id: str) -> None:
    """A version's source names no local path but one of its run's (or trained model's) own, and no way upwards. Raises Refused.

    The server never opens a source; what it stores is given to clients, who may.
    """
    if not _is_local(source):
        _check_no_way_up(source)
        return
    path = posixpath.normpath(unquote(urlsplit(source).path) if source.startswith("file:") else source)
    if (owner := model_id or run_id) and _is_inside(path, _own_root(owner, context, is_model=bool(model_id))):
        return
    word = "model_id" if model_id else "run_id"
    raise Refused(
        f"Invalid model version source: '{source}'. To use a local path as a model version "
        f"source, the {word} request parameter has to be specified and the local path has to be "
        f"contained within the artifact directory of the run specified by the {word}."
    )


def _own_root(owner: str, context: Context, *, is_model: bool) -> str:
    try:
        if is_model:
            return context.metadata.trained.get(TrainedModelId(owner)).artifact_root
        return context.metadata.runs.get(RunId(owner)).artifact_root
    except NotFound:
        raise missing(
            f"Logged model with ID '{owner}' not found." if is_model else f"Run with id={owner} not found"
        ) from None


def _is_inside(path: str, root: str) -> bool:
    """Whether a path is a local root or below it. A root in this store is no local path."""
    if root.startswith("file:"):
        root = unquote(urlsplit(root).path)
    if not root.startswith("/"):
        return False
    root = posixpath.normpath(root)
    return path == root or path.startswith(root.rstrip("/") + "/")


def _is_local(uri: str) -> bool:
    """Whether MLflow would take the URI for a file on the machine that reads it."""
    try:
        parts = urlsplit(uri)
        host = parts.hostname
    except ValueError:
        raise Refused(f"Invalid model version source: '{uri}'.") from None
    if parts.scheme != "file":
        return parts.scheme == ""
    if host and host != "." and not host.startswith(("localhost", "127.0.0.1")):
        raise Refused(
            f"{uri} is not a valid remote uri. For remote access on windows, please consider using a different scheme "
            "such as SMB (e.g. smb://<hostname>/<path>).",
            "INTERNAL_ERROR",
        )
    return True


def _check_no_way_up(source: str) -> None:
    refusal = Refused(
        f"Invalid model version source: '{source}'. If supplying a source as an http, https, "
        "local file path, ftp, objectstore, or mlflow-artifacts uri, an absolute path must be "
        "provided without relative path references present. Please provide an absolute path."
    )
    plain = source
    for _ in range(100):
        if (once := unquote_plus(plain)) == plain:
            break
        plain = once
    else:
        raise refusal
    try:
        path = urlsplit(plain).path
    except ValueError:
        raise refusal from None
    path = re.sub(r"/+", "/", path.rstrip("/"))
    if "\0" in path or ".." in plain.split("/"):
        raise refusal
    # A path without its slash ('mlflow-artifacts:x') would be read from wherever the reader stands.
    if not path.startswith("/") or posixpath.normpath(path) != path:
        raise refusal
