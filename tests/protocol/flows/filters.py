"""What MLflow's own parsers make of filters. Runs in the peers' environment: reads [[kind, filter], ...] as JSON, prints what each means or null."""

import json
import sys

from mlflow.exceptions import MlflowException
from mlflow.utils import search_utils

UTILS = {
    "runs": search_utils.SearchUtils,
    "experiments": search_utils.SearchExperimentsUtils,
    "models": search_utils.SearchModelUtils,
    "versions": search_utils.SearchModelVersionUtils,
}


def meaning(kind: str, text: str) -> list | None:
    """Scope, key, operator and value of each condition; None if MLflow refuses the filter."""
    utils = UTILS[kind]
    found = []
    try:
        for one in utils.parse_search_filter(text):
            scope, operator = one["type"], one["comparator"].upper()
            key = utils.translate_key_alias(one["key"])
            fits = (
                utils.is_metric(scope, operator)
                or utils.is_param(scope, operator)
                or utils.is_tag(scope, operator)
                or utils.is_string_attribute(scope, key, operator)
                or utils.is_numeric_attribute(scope, key, operator)
                or utils.is_dataset(scope, operator)
            )
            if not fits:
                return None
            found.append([scope, one["key"], operator, one["value"]])
    except (MlflowException, ValueError):  # a tag of a version that IS NULL is a slip there
        return None
    return found


if __name__ == "__main__":
    json.dump([meaning(kind, text) for kind, text in json.load(sys.stdin)], sys.stdout, default=list)
