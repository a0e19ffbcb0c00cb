"""`python -m tests.ui.seeded_server [empty | waiting] [PORT]`: the real server over a seeded or empty workspace. Prints its URL as JSON."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from noria.app.settings import Settings, Stores
from noria.app.workspace import Workspace
from noria.server.control.run import serve
from tests.ui.seed import MODEL, NAME, seed
from tests.ui.seed_deliveries import wait

if __name__ == "__main__":
    stores = Stores(metadata="memory", blobs="memory", tables="memory")
    with (
        tempfile.TemporaryDirectory() as home,
        Workspace(Settings(project="flights", stores=stores), Path(home)) as workspace,
    ):
        if "empty" not in sys.argv[1:]:
            seed(workspace)
        if "waiting" in sys.argv[1:]:
            wait(workspace, NAME, MODEL)
        port = int(sys.argv[-1]) if sys.argv[-1].isdecimal() else 0
        serve(workspace, port=port, announce=lambda url: print(json.dumps({"url": url}), flush=True))
