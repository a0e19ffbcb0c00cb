"""Watch a deployed version: counts in the reference's bins, drift, quality of labelled answers, and alerts. Pure: no store, no clock.

The statistics are stats/, deciding what follows is retraining/. Called by loop/stages.
"""
