"""Alerts in a chat, by an incoming webhook as Slack has them; Mattermost, Rocket.Chat and Discord (address with `/slack`) take the same.

One message for a cause: what merely joins it is not said again. Loaded by app/plugins; the port is ports/notifier.
Source: docs.slack.dev, "Sending messages using incoming webhooks" and "Formatting message text" (three characters are escaped).
"""

from typing import Any

import msgspec

from noria.adapters.notifiers.sending import TIMEOUT_SECONDS, Endpoint
from noria.adapters.notifiers.wording import cut, facts, headline, silenced
from noria.domain.alert import Notice

MARKS = {"info": ":information_source:", "warn": ":warning:", "page": ":rotating_light:"}
COLOURS = {"info": "#4c78a8", "warn": "#e0a100", "page": "#c0392b"}
OVER = "#2e8b57"
UNSAID = ("joined",)
LONGEST = 2900
"""Slack refuses a block of more than 3,000 characters."""


def open_notifier(location: str, *, secret: str = "") -> "SlackNotifier":
    """Give a notifier that posts to an incoming webhook; its whole address is the secret, which may stand in either place. Raises SettingInvalid."""
    return SlackNotifier(location or secret)


class SlackNotifier:
    """One message a notice. Slack cannot tell a repetition; the alert's id stands in each."""

    def __init__(self, location: str, *, timeout_s: float = TIMEOUT_SECONDS) -> None:
        self._endpoint = Endpoint(location, what="chat", timeout_s=timeout_s)

    def notify(self, notice: Notice) -> None:
        """See ports/notifier."""
        if notice.change in UNSAID:
            return
        self._endpoint.ask(msgspec.json.encode(message(notice)))


def message(notice: Notice) -> dict[str, Any]:
    """The message with its blocks; `text` is what a notification shows."""
    alert = notice.alert
    mark = ":white_check_mark:" if alert.is_over else MARKS[alert.severity]
    line = escaped(headline(notice, limit=900))
    title = f"<{notice.link}|{line}>" if notice.link else line
    blocks: list[dict[str, Any]] = [_section(f"{mark} *{title}*")]
    if notice.reason:
        blocks.append(_section(f"_{escaped(notice.by)}: {escaped(cut(notice.reason, 1000))}_"))
    if not alert.is_over:
        table = "\n".join(f"*{escaped(name)}* {escaped(value)}" for name, value in _shown(notice).items())
        blocks.append(_section(cut(table, LONGEST)))
        commands = [c for c in (alert.next_command, f"noria alerts ack {alert.id}") if c]
        blocks.append(_section("\n".join(f"`{escaped(command)}`" for command in commands)))
    colour = OVER if alert.is_over else COLOURS[alert.severity]
    return {"text": f"{mark} {line}", "attachments": [{"color": colour, "fallback": line, "blocks": blocks}]}


def escaped(text: str) -> str:
    """The three characters that mean something to Slack.

    >>> escaped("age < 20 & <!channel>")
    'age &lt; 20 &amp; &lt;!channel&gt;'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _shown(notice: Notice) -> dict[str, str]:
    alert = notice.alert
    shown = {"since": facts(alert)["since"]}
    if alert.causes:
        shown["inputs"] = ", ".join(alert.causes[:8])
    if alert.budget:
        shown["budget"] = alert.budget
    if alert.silencers:
        shown["would have been silent with"] = "; or ".join(silenced(each) for each in alert.silencers[:3])
    if notice.others:
        shown["same cause"] = "; ".join(other.summary for other in notice.others[:3])
    return shown


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": cut(text, LONGEST)}}
