"""Judge a candidate on rows it has not seen: metrics with intervals, slices, comparison with the champion, gates, explanations, reports.

Pure: arrays and nouns in, nouns out. The numbers are stats/, registering what passed is registry/. Called by loop/stages.
"""
