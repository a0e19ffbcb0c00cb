"""The notifier port: how an alert reaches people."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

from noria.domain.alert import Notice


class Notifier(Protocol):
    """Delivers notices. The same notice id twice is one message where the receiver can tell.

    A receiver that has no word for a change (a chat for an alert that merely joined a cause) takes it and says nothing.
    """

    def notify(self, notice: Notice) -> None:
        """Deliver one notice.

        Raises StoreUnavailable when the receiver is away, SettingInvalid when its address or credentials are wrong (both are tried again later),
        RequestInvalid when it refuses this very message, which is set aside after some tries.
        """
        ...


@runtime_checkable
class Standing(Protocol):
    """A notifier whose receiver forgets: it wants to be told of everything that stands, again and again."""

    refresh_s: float

    def refresh(self, standing: Sequence[Notice], *, at: datetime) -> None:
        """Tell of all alerts that stand, each in a notice. Raises as `notify` does."""
        ...


@runtime_checkable
class Heart(Protocol):
    """A notifier that can give a sign of life, which somebody outside misses when Noria is gone (a dead man's switch)."""

    def beat(self, *, at: datetime, every_s: float) -> None:
        """Say that Noria lives; the next sign comes within `every_s` seconds. Raises as `notify` does."""
        ...
