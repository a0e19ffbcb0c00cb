"""Dashboards for Grafana and rules for Prometheus, as data: written once here, exported by `noria dashboards export`.

`panel` is the nouns and their JSON; `serving` `watching` `loop` `machine` a dashboard each; `rules` what Prometheus alerts on; `export` the files.
Every query is run on the real Prometheus by the tests, against a real worker and a real control plane.
"""
