"""`python -m tests.ui.seeded_server [empty] [PORT]`: the real server over a seeded or empty workspace. Prints its URL as JSON."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from noria.app.settings import Settings, Stores
from noria.app.workspace import Workspace
from noria.server.control.run import serve
from tests.ui.seed import seed

if __name__ == "__main__":
    stores = Stores(metadata="memory", blobs="memory", tables="memory")
    with (
        tempfile.TemporaryDirectory() as home,
        Workspace(Settings(project="flights", stores=stores), Path(home)) as workspace,
    ):
        if "empty" not in sys.argv[1:]:
            seed(workspace)
        port = int(sys.argv[-1]) if sys.argv[-1].isdecimal() else 0
        serve(workspace, port=port, announce=lambda url: print(json.dumps({"url": url}), flush=True))
