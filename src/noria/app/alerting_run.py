"""Alerting of one workspace, put together: who tells receivers, who watches the watching. Started by the server; a loop without one tells itself."""

import logging
import threading

from noria.app.alerting import Courier
from noria.app.alerting_receivers import pulse
from noria.app.alerting_sentry import Sentry
from noria.app.workspace import Workspace
from noria.errors import NoriaError

log = logging.getLogger(__name__)


def courier_of(workspace: Workspace, *, sentry: Sentry | None = None) -> Courier:
    """Who tells the receivers of this workspace, by its settings; not started. sentry: without lively looks there is no sign of life.

    Raises SettingInvalid, AdapterUnknown, ExtraMissing.
    """
    notify = workspace.settings.notify
    return Courier(
        lambda: workspace.metadata,
        workspace.receivers,
        clock=workspace.clock,
        pulse=pulse(notify.heartbeat),
        base_url=notify.base_url,
        lively=sentry.is_lively if sentry else lambda: True,
        telemetry=workspace.telemetry,
    )


class Alerting:
    """What the server does about alerts, in threads of its own. If a recipe is named, it also says when the loop looks no more."""

    def __init__(self, workspace: Workspace) -> None:
        settings = workspace.settings
        self._sentry: Sentry | None = None
        if settings.recipe and settings.notify.silent_strokes > 0:
            self._sentry = Sentry(
                lambda: workspace.metadata,
                workspace.looks.all,
                clock=workspace.clock,
                tick_s=settings.tick_s,
                strokes=settings.notify.silent_strokes,
            )
        self.courier = courier_of(workspace, sentry=self._sentry)
        self._pause_s = min(max(settings.tick_s / 2, 1.0), 60.0)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to tell, and to watch the watching."""
        self.courier.start()
        if self._sentry is not None:
            self._thread = threading.Thread(target=self._watch, args=(self._sentry,), name="noria-sentry", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Let another process take over."""
        self._stop.set()
        self.courier.stop()

    def _watch(self, sentry: Sentry) -> None:
        while not self._stop.wait(self._pause_s):
            try:
                for alert in sentry.round():
                    log.error("%s", alert.summary)
                    self.courier.wake()
            except NoriaError as error:
                log.warning("whether anything is watched could not be seen: %s", error.headline())
