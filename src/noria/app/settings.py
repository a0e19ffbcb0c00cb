"""What can be set, and where it is read from: noria.toml, then the environment. Pure but for reading the file. Called by app/workspace.

Every setting has a default that works on a laptop; nothing here depends on the machine below this floor.
"""

import os
import tomllib
from pathlib import Path

import msgspec

from noria.domain.alert import AlertKind, Severity
from noria.domain.declaration import Declaration
from noria.errors import SettingInvalid
from noria.serving.declared import unknown_settings
from noria.serving.recording import Recording

FILE = "noria.toml"


class Stores(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which adapter keeps what. An empty location means: inside the project's home."""

    metadata: str = "sqlite"
    metadata_location: str = ""
    blobs: str = "local"
    blobs_location: str = ""
    tables: str = "parquet"
    predictions: str = "parquet"


class Serving(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Addresses of the servers. durable: a prediction is on disk before it is answered.

    recording: deployment -> which share of its requests is recorded (`rate`), without which inputs (`leave_out`), with which text inputs only as a
    salted digest (`digest`): `[serving.recording.NAME]`. The salt is `redaction.salt` in the home, or NORIA_REDACTION_SALT (64 hexadecimal digits).
    """

    host: str = "127.0.0.1"
    port: int = 8321
    workers: int = 1
    """Processes that answer predictions in `noria up`."""
    worker_port: int = 8322
    durable: bool = False
    recording: dict[str, Recording] = {}


class Receiver(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody who is told of alerts: `[notify.receivers.NAME]`. location, secret: as the adapter wants them (docs/how-to/alerts.md).

    Both may be written `env:NAME` or `file:PATH`, and are then read from there; neither is ever shown. severity: the least that is told of.
    kinds, deployments: only these; empty: all; deployments may have `*` in them. resolved: whether the end is told too.
    repeat_minutes: how often an open alert that nobody acknowledged is told of again; 0: once.
    """

    adapter: str
    location: str = ""
    secret: str = ""
    severity: Severity = "info"
    kinds: tuple[AlertKind, ...] = ()
    deployments: tuple[str, ...] = ()
    resolved: bool = True
    repeat_minutes: float = 0.0

    def __repr__(self) -> str:
        return f"Receiver(adapter={self.adapter!r}, severity={self.severity!r})"


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sign of life that somebody outside misses when Noria is gone: `[notify.heartbeat]`. location, secret: as in a receiver.

    adapter: `heartbeat` asks a URL, `alertmanager` keeps an alert standing, `opgenie` pings a heartbeat. No sign is given while the loop hangs.
    """

    adapter: str = "heartbeat"
    location: str = ""
    secret: str = ""
    every_s: float = 60.0

    def __repr__(self) -> str:
        return f"Heartbeat(adapter={self.adapter!r}, every_s={self.every_s})"


class Notify(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where alerts go besides the ledger. adapter, location: one receiver of everything; a file for 'log', a URL for 'webhook'.

    receivers: more of them, each with what it wants to hear. base_url: under which people find the pages, for links in messages.
    silent_strokes: after how many missed strokes of the loop's clock the server says that nothing is watched.
    """

    adapter: str = "log"
    location: str = ""
    receivers: dict[str, Receiver] = {}
    heartbeat: Heartbeat | None = None
    base_url: str = ""
    silent_strokes: int = 3

    def __repr__(self) -> str:
        return f"Notify(adapter={self.adapter!r}, receivers={sorted(self.receivers)})"


class Webhooks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Telling others of changes by HTTP. Messages go by https to addresses of the internet unless more is allowed here.

    give_up_days: a webhook whose deliveries have failed for so long is switched off. keep_days: how long changes can be read again.
    """

    allow_http: bool = False
    allow_private: bool = False
    give_up_days: float = 5.0
    keep_days: float = 30.0


class Packaging(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How models are kept. allow_code: whether a model may be kept in a form that runs code when it is loaded (pickle, plain Python); ADR 25."""

    allow_code: bool = False


class Logs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the processes write their logs, to stderr. format: 'text' or 'json' (ECS, one object a line). level: of Noria's own lines; what other
    packages write is shown from 'warning' on. At 'info' the control plane writes each request and each event of the ledger.
    """

    format: str = "text"
    level: str = "warning"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One project's settings."""

    project: str = "default"
    home: str = ".noria"
    recipe: str = ""
    """`file.py:NAME` of a Recipe that `noria up` turns the loop for, besides those that declared deployments name."""
    tick_s: float = 60.0
    """Seconds between two strokes of the loop's clock in `noria up`."""
    lease_s: float = 15.0
    """Of several control planes of a project one turns the loop; after so many seconds without a sign of life of it another takes over."""
    executor: str = "inline"
    workers: int = 2
    stores: Stores = Stores()
    serving: Serving = Serving()
    notify: Notify = Notify()
    webhooks: Webhooks = Webhooks()
    packaging: Packaging = Packaging()
    logs: Logs = Logs()
    deployments: dict[str, Declaration] = {}
    """What shall answer under which name: `[deployments.NAME]`. It stands once it is applied: `noria plan`, `noria apply`."""


def code_is_allowed() -> bool:
    """Whether the environment says that models may carry code: NORIA_ALLOW_CODE=1. Anything else says nothing."""
    return os.environ.get("NORIA_ALLOW_CODE", "") == "1"


def find(start: Path) -> Path | None:
    """The nearest noria.toml at or above a folder."""
    return next((folder / FILE for folder in (start, *start.parents) if (folder / FILE).is_file()), None)


def read(path: Path) -> Settings:
    """Read a noria.toml. Raises SettingInvalid naming the file and the key."""
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
        settings = msgspec.convert(said, Settings)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise SettingInvalid(f"{path.name} is not valid TOML", cause=str(exc), remedy=f"correct {path}") from exc
    except msgspec.ValidationError as exc:
        raise SettingInvalid(
            f"{path.name} has a setting that cannot be", cause=str(exc), remedy=f"correct {path}"
        ) from exc
    strange = unknown_settings(said.get("deployments", {}), dict[str, Declaration], path="deployments")
    if strange:
        raise SettingInvalid(
            f"{path.name} declares what a deployment does not have", cause=", ".join(strange), remedy=f"correct {path}"
        )
    return settings


def resolve(start: Path | None = None) -> tuple[Settings, Path]:
    """Settings and the absolute home of the project that a folder belongs to. NORIA_HOME and NORIA_PROJECT override the file.

    NORIA_ALLOW_CODE=1 sets allow_code of [packaging]. NORIA_WEBHOOKS_ALLOW adds to [webhooks]: 'http', 'private', or both with a comma between.
    """
    start = (start or Path.cwd()).resolve()
    path = find(start)
    settings = read(path) if path else Settings()
    settings = msgspec.structs.replace(settings, project=os.environ.get("NORIA_PROJECT", settings.project))
    allowed = {each.strip() for each in os.environ.get("NORIA_WEBHOOKS_ALLOW", "").split(",")}
    webhooks = msgspec.structs.replace(
        settings.webhooks,
        allow_http=settings.webhooks.allow_http or "http" in allowed,
        allow_private=settings.webhooks.allow_private or "private" in allowed,
    )
    packaging = Packaging(allow_code=settings.packaging.allow_code or code_is_allowed())
    settings = msgspec.structs.replace(settings, webhooks=webhooks, packaging=packaging)
    home = Path(os.environ.get("NORIA_HOME", settings.home)).expanduser()
    return settings, home if home.is_absolute() else (path.parent if path else start) / home
