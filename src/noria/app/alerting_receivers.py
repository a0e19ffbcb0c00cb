"""Who is told of alerts, from the settings: names, addresses and secrets become receivers. Sending is app/alerting. Called by workspace.py."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import cast

from noria.app.plugins import load
from noria.app.settings import Heartbeat, Notify
from noria.app.settings import Receiver as Wish
from noria.domain.alert import SEVERITIES, Alert, Notice
from noria.errors import SettingInvalid
from noria.ports.notifier import Heart, Notifier

DEFAULT = "default"
"""Name of the receiver that [notify] itself describes."""
LOG = "alerts.jsonl"


@dataclass(frozen=True, kw_only=True)
class Receiver:
    """Somebody who is told of some alerts."""

    name: str
    wish: Wish
    notifier: Notifier

    def wants(self, alert: Alert) -> bool:
        """Whether an alert is one of those that it is told of."""
        wish = self.wish
        if SEVERITIES.index(alert.severity) < SEVERITIES.index(wish.severity):
            return False
        if wish.kinds and alert.kind not in wish.kinds:
            return False
        return not wish.deployments or any(fnmatchcase(alert.deployment, each) for each in wish.deployments)

    def hears(self, notice: Notice) -> bool:
        """Whether a notice about such an alert is said to it."""
        return self.wish.resolved or notice.change != "resolved"


@dataclass(frozen=True, kw_only=True)
class Pulse:
    """The sign of life of [notify.heartbeat]."""

    heart: Heart
    every_s: float


def receivers(notify: Notify, *, home: Path) -> list[Receiver]:
    """Everybody that the settings name, the one of [notify] itself first. Raises SettingInvalid, AdapterUnknown, ExtraMissing.

    >>> [each.name for each in receivers(Notify(), home=Path("/tmp"))]
    ['default']
    """
    wishes: dict[str, Wish] = {}
    if notify.adapter:
        location = notify.location or (str(home / LOG) if notify.adapter == "log" else "")
        wishes[DEFAULT] = Wish(adapter=notify.adapter, location=location)
    if DEFAULT in notify.receivers:
        raise SettingInvalid(
            f"a receiver is called {DEFAULT!r}",
            cause="that is the name of the one that [notify] itself describes",
            remedy="give it another name in noria.toml",
        )
    wishes |= notify.receivers
    return [Receiver(name=name, wish=wish, notifier=_opened(name, wish)) for name, wish in wishes.items()]


def pulse(heartbeat: Heartbeat | None) -> Pulse | None:
    """The sign of life, if one is wished. Raises SettingInvalid, AdapterUnknown, ExtraMissing."""
    if heartbeat is None:
        return None
    if not heartbeat.every_s >= 1:
        raise SettingInvalid("every_s of [notify.heartbeat] is below 1 second", remedy="set every_s = 60 in noria.toml")
    heart = _opened("heartbeat", Wish(adapter=heartbeat.adapter, location=heartbeat.location, secret=heartbeat.secret))
    if not isinstance(heart, Heart):
        raise SettingInvalid(
            f"the adapter {heartbeat.adapter!r} gives no sign of life",
            remedy="in noria.toml, [notify.heartbeat]: adapter = 'heartbeat'",
        )
    return Pulse(heart=heart, every_s=heartbeat.every_s)


def _opened(name: str, wish: Wish) -> Notifier:
    if wish.repeat_minutes < 0:
        raise SettingInvalid(f"repeat_minutes of receiver {name!r} is negative", remedy="set it to 0 for: once")
    location, secret = revealed(wish.location, name), revealed(wish.secret, name)
    module = load("notifiers", wish.adapter)
    # A plugin of somebody else may know no secret; then it is asked without one.
    opened = module.open_notifier(location, secret=secret) if secret else module.open_notifier(location)
    return cast(Notifier, opened)


def revealed(said: str, receiver: str, *, environment: Mapping[str, str] | None = None) -> str:
    """What `env:NAME` or `file:PATH` stands for; anything else is meant as it is. Raises SettingInvalid, which shows the name only.

    >>> revealed("env:PAGER", "oncall", environment={"PAGER": "s3cret"})
    's3cret'
    """
    where, _, name = said.partition(":")
    if where == "env":
        value = (os.environ if environment is None else environment).get(name, "")
        if not value:
            raise SettingInvalid(
                f"receiver {receiver!r} reads {name!r} from the environment, where it is not set",
                remedy=f"export {name}=...",
            )
        return value
    if where == "file":
        try:
            return Path(name).expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise SettingInvalid(
                f"receiver {receiver!r} reads a file that cannot be read", cause=str(exc), remedy=f"write {name}"
            ) from exc
    return said
