"""Rows whose features are not in the log as they were sent are not learnt from."""

from types import SimpleNamespace

import polars as pl

from noria.loop.training import as_sent

RECIPE = SimpleNamespace(features=("age", "city"))


def test_rows_with_a_redacted_feature_are_left_out_and_others_stay():
    served = pl.DataFrame(
        {"row": [1, 2, 3, 4], "redacted": [None, '["city"]', '["email"]', '["age", "email"]']},
        schema={"row": pl.Int64, "redacted": pl.String},
    )

    assert as_sent(served, RECIPE)["row"].to_list() == [1, 3]


def test_a_log_without_redaction_is_taken_whole():
    served = pl.DataFrame({"row": [1, 2], "redacted": [None, None]}, schema={"row": pl.Int64, "redacted": pl.String})

    assert as_sent(served, RECIPE).equals(served)
