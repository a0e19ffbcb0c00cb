"""What the flights project declares: candidates, gates, canary, policy. A user's project says as much, no more. Called by demo/story."""

from collections.abc import Mapping
from typing import Any

from noria.demo.features import FEATURES, NUMBERS, TEXT
from noria.demo.prepare import ASKED
from noria.domain.deployment import CanaryPlan
from noria.domain.gate import Gate
from noria.domain.ids import Digest
from noria.domain.policy import Policy
from noria.domain.run import ParamValue
from noria.loop.context import Candidate, Recipe

DEPLOYMENT = "flights"
SEED = 2013

BOOSTING: dict[str, ParamValue] = {
    "n_estimators": 120,
    "num_leaves": 31,
    "learning_rate": 0.08,
    "min_child_samples": 100,
    "reg_lambda": 5.0,
    "colsample_bytree": 0.5,
    "bin_construct_sample_cnt": 50_000,
}
DEEPER: dict[str, ParamValue] = BOOSTING | {
    "n_estimators": 240,
    "num_leaves": 63,
    "learning_rate": 0.05,
    "colsample_bytree": 0.4,
    "max_bin": 63,
}
LOGISTIC: dict[str, ParamValue] = {"C": 0.1, "max_iter": 60, "tol": 1e-3}

GATES = (
    Gate(name="good enough", kind="absolute", metric="auc", limit=0.65, better="higher"),
    Gate(name="not worse than the champion", kind="against_champion", metric="log_loss", limit=0.005, better="lower"),
    Gate(
        name="no carrier left behind",
        kind="worst_slice",
        metric="log_loss",
        limit=0.05,
        better="lower",
        slice_by="carrier",
        minimum_rows=500,
    ),
    Gate(
        name="no airport left behind",
        kind="worst_slice",
        metric="log_loss",
        limit=0.02,
        better="lower",
        slice_by="origin",
    ),
    Gate(name="calibrated", kind="calibration", metric="calibration_error", limit=0.06, better="lower"),
    Gate(name="fast enough", kind="latency", metric="p99_ms", limit=20.0, better="lower"),
)
# A week of storms, or of controllers on furlough, passes by itself: one training in it may try, the next waits as after any other.
POLICY = Policy(
    growth=0.3,
    cooldown_days=14.0,
    change_cooldown_days=14.0,
    budget_per_year=12,
    minimum_labels=5000,
    backtest_days=14,
    recent_days=60,
    half_life_days=90.0,
    windows=("all", "recent"),
    candidates=("boosting", "boosting-deeper", "logistic"),
)
# A week holds seven days that are not alike: it cannot tell 0.005 nats from 0.010. That a challenger is not worse is the gate's business, on two
# weeks of labels; the canary is there to stop harm.
CANARY = CanaryPlan(weight=0.2, minimum_labels=500, maximum_days=7.0, tolerance=0.01, paired=True)


def make_boosting(params: Mapping[str, ParamValue], seed: int) -> Any:
    """Gradient boosting over one-hot text and plain numbers; missing numbers go their own way in each split."""
    from lightgbm import LGBMClassifier
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder

    columns = ColumnTransformer(
        [
            ("text", OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype="float32"), list(TEXT)),
            ("numbers", "passthrough", list(NUMBERS)),
        ]
    )
    model = LGBMClassifier(
        **dict[str, Any](params), random_state=seed, n_jobs=1, deterministic=True, force_row_wise=True, verbose=-1
    )
    return Pipeline([("columns", columns), ("model", model)])


def make_logistic(params: Mapping[str, ParamValue], seed: int) -> Any:
    """Logistic regression over one-hot text and scaled numbers; a missing number counts as the mean."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = Pipeline([("fill", SimpleImputer(copy=False)), ("scale", StandardScaler(copy=False))])
    columns = ColumnTransformer(
        [
            ("text", OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype="float32"), list(TEXT)),
            ("numbers", numbers, list(NUMBERS)),
        ]
    )
    return Pipeline([("columns", columns), ("model", LogisticRegression(**dict[str, Any](params), random_state=seed))])


CANDIDATES = {
    "boosting": Candidate(name="boosting", params=BOOSTING, make=make_boosting, fit_weights="model__sample_weight"),
    "boosting-deeper": Candidate(
        name="boosting-deeper", params=DEEPER, make=make_boosting, fit_weights="model__sample_weight"
    ),
    "logistic": Candidate(name="logistic", params=LOGISTIC, make=make_logistic, fit_weights="model__sample_weight"),
}


def recipe(base: Digest) -> Recipe:
    """The whole declaration, over the labelled winter."""
    return Recipe(
        deployment=DEPLOYMENT,
        model=DEPLOYMENT,
        base=base,
        schema=ASKED,
        features=FEATURES,
        candidates=CANDIDATES,
        gates=GATES,
        policy=POLICY,
        canary=CANARY,
        slices=TEXT,
        seed=SEED,
        fits_at_once=2,
    )
