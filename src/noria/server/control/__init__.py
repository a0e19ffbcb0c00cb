"""Noria's own REST API, one file per noun. Reads ports through the workspace; the rules live in the rooms. Called by the pages and by clients."""
