"""The flights year: a project that uses Noria as anybody would, on real data, in accelerated time. Called by `noria demo`."""

from os import environ

# Read by polars when it is imported. A day of the demo is some hundred rows: on two cores its threads would wake and wait more than they work.
environ.setdefault("POLARS_MAX_THREADS", "1")
