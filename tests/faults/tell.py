"""A process that tells a webhook of a store's alerts until it is killed. Run by test_alerts_killed: `python tell.py STORE URL`."""

import sys
import threading
from pathlib import Path

from noria.adapters.metadata.sqlite import open_store
from noria.app.alerting import Courier
from noria.app.alerting_receivers import receivers
from noria.app.settings import Notify
from noria.app.workspace import SystemClock

if __name__ == "__main__":
    store = open_store(sys.argv[1], project="p")
    them = receivers(Notify(adapter="webhook", location=sys.argv[2]), home=Path("/nowhere"))
    courier = Courier(lambda: store, them, clock=SystemClock(), lease_s=0.3)
    courier.start()
    threading.Event().wait()
