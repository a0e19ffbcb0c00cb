"""Triggers: what besides alarms may ask for a training, as declared. When one is due is retraining/schedule; firing is loop/stages/triggers."""

from datetime import datetime
from typing import Literal

import msgspec

from noria.domain.ids import EventId

TriggerKind = Literal["cron", "new_data", "event", "webhook"]
CatchUp = Literal["one", "none", "all"]


class TriggerRule(msgspec.Struct, frozen=True, kw_only=True):
    """One declared trigger of a deployment.

    cron: five fields, in the time zone `zone`; of an hour that daylight saving repeats the first counts, and what falls into an hour that it skips is
    due at the next existing minute. catch_up: what was missed while nobody looked is made up for once, not at all, or each time.
    dataset: for `new_data`, whose new version of at least `minimum_rows` rows is the trigger. event: for `event`, the kind of event in the ledger.
    A `webhook` is fired over HTTP, signed with the secret that `secret` names (`env:NAME` or `file:PATH`).
    """

    name: str
    kind: TriggerKind
    cron: str = ""
    zone: str = "UTC"
    catch_up: CatchUp = "one"
    dataset: str = ""
    minimum_rows: int = 1
    event: str = ""
    secret: str = ""


class Firing(msgspec.Struct, frozen=True, kw_only=True):
    """One time that a trigger was due. key: the same key is the same firing, however often, and by how many control planes, it is found."""

    trigger: str
    due: datetime
    key: str
    missed: int = 0
    """How many earlier ones this one stands for."""
    cause: EventId | None = None
