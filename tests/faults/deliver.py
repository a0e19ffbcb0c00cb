"""A process that delivers a store's webhooks until it is killed. Run by test_webhooks_killed: `python deliver.py STORE`."""

import sys
import threading

from noria.adapters.metadata.sqlite import open_store
from noria.app.outgoing import Allowance
from noria.app.webhooks import Deliverer, Rules
from noria.app.workspace import SystemClock

if __name__ == "__main__":
    store = open_store(sys.argv[1], project="p")
    rules = Rules(allowed=Allowance(http=True, private=True), lease_s=0.3)
    deliverer = Deliverer(lambda: store, clock=SystemClock(), rules=rules)
    deliverer.start()
    print("ready", flush=True)
    threading.Event().wait()
