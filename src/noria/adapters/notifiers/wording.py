"""What people read: one line, and the few lines under it. Pure. Called by the notifiers for chats, mail and pagers."""

from noria.domain.alert import Alert, Notice, Silencer

SAID = {
    "opened": "",
    "joined": "also",
    "raised": "worse",
    "acknowledged": "acknowledged",
    "snoozed": "snoozed",
    "reopened": "open again",
    "reminded": "still open",
    "resolved": "resolved",
    "tested": "test",
}
NUMBERS_SHOWN = 8


def headline(notice: Notice, *, limit: int = 1000) -> str:
    """The message in one line."""
    alert = notice.alert
    said = SAID[notice.change]
    line = f"{alert.severity}: {alert.deployment}/{alert.number}: {alert.summary}"
    return cut(f"[{said}] {line}" if said else line, limit)


def paragraph(notice: Notice, *, limit: int = 15_000) -> str:
    """Everything that helps to judge it: evidence, budget, what would have silenced it, what to do next."""
    alert = notice.alert
    lines = [alert.summary, ""]
    if notice.change in ("acknowledged", "snoozed", "resolved", "reopened"):
        until = f" until {alert.snoozed_until:%Y-%m-%d %H:%M} UTC" if alert.snoozed_until else ""
        lines += [f"{SAID[notice.change]}{until} by {notice.by}" + (f": {notice.reason}" if notice.reason else ""), ""]
    lines += [f"{name}: {value}" for name, value in facts(alert).items()]
    if notice.others:
        lines += ["", "Of the same cause:", *(f"- {other.severity}: {other.summary}" for other in notice.others)]
    if not alert.is_over:
        lines += ["", f"next: {alert.next_command}"] if alert.next_command else []
        lines += [f"seen it: noria alerts ack {alert.id}"]
    if notice.link:
        lines += ["", notice.link]
    return cut("\n".join(lines), limit)


def facts(alert: Alert) -> dict[str, str]:
    """Names and values to lay out as a table."""
    found = {
        "deployment": f"{alert.deployment}, version {alert.number}",
        "since": f"{alert.opened_at:%Y-%m-%d %H:%M} UTC",
    }
    for name, value in list(alert.evidence.items())[:NUMBERS_SHOWN]:
        found[name] = f"{value:.4g}" if isinstance(value, float) else str(value)
    if alert.budget:
        found["budget"] = alert.budget
    if alert.silencers:
        found["would have been silent with"] = "; or ".join(silenced(each) for each in alert.silencers)
    found["alert"] = alert.id
    return found


def silenced(by: Silencer) -> str:
    """One silencer in words.

    >>> silenced(Silencer(setting="margin", now=0.05, needed=0.31))
    'margin 0.31 instead of 0.05'
    """
    return f"{by.setting} {by.needed:.4g} instead of {by.now:.4g}" + (f" ({by.what})" if by.what else "")


def cut(text: str, limit: int) -> str:
    """The text, or its beginning with an ellipsis.

    >>> cut("abcdef", 4)
    'abc…'
    """
    return text if len(text) <= limit else text[: limit - 1] + "…"
