"""`python -m tests.ui.seeded_server [empty]`: the real server over a seeded or empty workspace in memory. Prints its URL as JSON."""

from __future__ import annotations

import json
import sys

from noria.app.workspace import Workspace
from noria.server.control.run import serve
from tests.ui.seed import seed

if __name__ == "__main__":
    with Workspace.ephemeral("flights") as workspace:
        if "empty" not in sys.argv[1:]:
            seed(workspace)
        port = int(sys.argv[-1]) if sys.argv[-1].isdecimal() else 0
        serve(workspace, port=port, announce=lambda url: print(json.dumps({"url": url}), flush=True))
