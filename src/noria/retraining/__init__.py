"""Decide whether, and on which rows, a challenger is trained. Pure: no clock, no store.

Detecting drift and decay is monitoring/, running a training is pipeline/. Called by loop/stages.
"""
