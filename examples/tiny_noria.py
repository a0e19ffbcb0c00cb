"""The whole loop on one page: data, training, gates, deployment, predictions, late labels, an alarm, a retraining, a canary, and why.

A shop wants to know which orders will be sent back. For 50 days dear orders come back; then a new supplier changes the world, and cheap ones do.
Nobody tells Noria. Everything lives in memory, and time is simulated: `python examples/tiny_noria.py` takes some seconds.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline as Estimator
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import noria
from noria.app.sentences import sentence
from noria.data.snapshot import snapshot
from noria.testing.clock import FakeClock

START = datetime(2026, 1, 1, tzinfo=UTC)
ORDERS_A_DAY = 300
LABEL_DELAY = timedelta(days=2)  # it takes two days until we know whether an order comes back
SHOPS = ("north", "south", "web")

# --- 1. The world -----------------------------------------------------------------------------------------------------------------------------


def orders(day: int, *, rng: np.random.Generator) -> pl.DataFrame:
    """One day of orders with the label that only the future knows."""
    price = rng.gamma(2.0, 30.0, ORDERS_A_DAY).astype(np.float32)
    shop = rng.choice(SHOPS, ORDERS_A_DAY)
    pull = np.log(price / 60) * (1.0 if day < 50 else -1.0) + 0.8 * (shop == "web")
    comes_back = rng.random(ORDERS_A_DAY) < 1 / (1 + np.exp(-2.0 * pull))
    at = [START + timedelta(days=day, minutes=4 * i) for i in range(ORDERS_A_DAY)]
    return pl.DataFrame(
        {
            "at": at,
            "known_at": [t + LABEL_DELAY for t in at],
            "label": comes_back.astype(float),
            "shop": shop,
            "price": price,
        }
    )


# --- 2. What the project declares -------------------------------------------------------------------------------------------------------------

SCHEMA = noria.Schema(
    columns=(
        noria.Column(name="at", dtype="datetime"),
        noria.Column(name="known_at", dtype="datetime"),
        noria.Column(name="label", dtype="float64"),
        noria.Column(name="shop", dtype="string"),
        noria.Column(name="price", dtype="float32", minimum=0),
    ),
    time_column="at",
)


def make(params: Mapping[str, object], seed: int) -> Estimator:
    """A plain scikit-learn pipeline with a text column; it will be served as ONNX, without scikit-learn."""
    columns = ColumnTransformer(
        [("text", OneHotEncoder(handle_unknown="ignore"), ["shop"]), ("numbers", StandardScaler(), ["price"])]
    )
    return Estimator([("columns", columns), ("model", LogisticRegression(**params, random_state=seed))])


def declare(workspace: noria.Workspace, first_days: pl.DataFrame) -> noria.Recipe:
    """Data as a version, candidates, gates, policy, canary: all that the loop needs to know."""
    base = snapshot(workspace.tables, "orders", first_days, schema=SCHEMA, at=workspace.clock.now())
    gates = (
        noria.Gate(name="good enough", kind="absolute", metric="auc", limit=0.60, better="higher"),
        noria.Gate(
            name="not worse than the champion", kind="against_champion", metric="log_loss", limit=0.01, better="lower"
        ),
        noria.Gate(
            name="no shop left behind",
            kind="worst_slice",
            metric="log_loss",
            limit=0.2,
            better="lower",
            slice_by="shop",
        ),
        noria.Gate(name="fast enough", kind="latency", metric="p99_ms", limit=50.0, better="lower"),
    )
    return noria.Recipe(
        deployment="returns",
        model="returns",
        base=base.digest,
        schema=SCHEMA,
        features=("shop", "price"),
        slices=("shop",),
        candidates={
            "loose": noria.Candidate(name="loose", params={"C": 1.0}, make=make, fit_weights="model__sample_weight"),
            "strict": noria.Candidate(name="strict", params={"C": 0.01}, make=make, fit_weights="model__sample_weight"),
        },
        gates=gates,
        policy=noria.Policy(
            candidates=("loose", "strict"),
            windows=("all", "recent"),
            recent_days=15,
            backtest_days=5,
            cooldown_days=7,
            minimum_labels=1000,
            growth=0,
        ),
        canary=noria.CanaryPlan(weight=0.3, minimum_labels=100, maximum_days=4, paired=True),
    )


# --- 3. The loop ------------------------------------------------------------------------------------------------------------------------------


def live_through(
    days: range, *, workspace: noria.Workspace, loop: noria.Loop, clock: FakeClock, rng: np.random.Generator
) -> list[float]:
    """Ask for each order, hand in labels when they are known, let the clock strike each night. Gives the log loss of each day."""
    endpoint = noria.Endpoint(workspace, "returns")
    waiting: list[tuple[datetime, noria.GroundTruth]] = []
    losses = []
    for day in days:
        today = orders(day, rng=rng)
        said = []
        for number, part in enumerate(today.iter_slices(30)):
            clock.advance(part["at"][0] - clock.now())
            answer = endpoint.predict(
                {"shop": part["shop"].to_list(), "price": part["price"].to_list()}, key=f"{day}-{number}"
            )
            said.extend(answer.outputs["probability"])
            for prediction_id, (known_at, value) in zip(
                answer.ids, part.select("known_at", "label").iter_rows(), strict=True
            ):
                waiting.append((known_at, noria.GroundTruth(prediction_id=prediction_id, value=value, at=known_at)))
        clock.advance(START + timedelta(days=day + 1) - clock.now())
        arrived = [label for known_at, label in waiting if known_at <= clock.now()]
        waiting = [(known_at, label) for known_at, label in waiting if known_at > clock.now()]
        workspace.predictions.add_labels("returns", arrived)
        loop.tick()
        p, y = np.clip(np.array(said, dtype=float), 1e-6, 1 - 1e-6), today["label"].to_numpy()
        losses.append(float(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))))
    endpoint.close()
    return losses


def main() -> dict[str, float]:
    """Live through 90 days and tell what happened; gives the mean log loss before the change, in the bad days, and at the end."""
    rng = np.random.default_rng(7)
    clock = FakeClock(START + timedelta(days=30))
    with noria.Workspace.ephemeral("tiny", clock=clock) as workspace:
        history = pl.concat([orders(day, rng=rng) for day in range(28)])
        recipe = declare(workspace, history)
        loop = noria.Loop(workspace, [recipe])
        noria.declare(workspace, recipe)
        loop.turn()  # first version: trained, gated, registered, packaged, deployed
        losses = live_through(range(30, 90), workspace=workspace, loop=loop, clock=clock, rng=rng)

        for entry in workspace.ledger.read():
            print(f"{entry.at:%d %b}  {sentence(entry.event)}")
        some = pl.DataFrame(workspace.predictions.scan("returns"))["prediction_id"][-1]
        told = noria.why(workspace, some)
        print(
            f"\nwhy {some}: {told.outputs} by version {told.version.version}, trained on {told.datasets[0].rows:,} orders,"
        )
        print(f"  computed again: {'equal to the last bit' if told.recomputed.equal else 'DIFFERENT'}")
    found = {
        "before": float(np.mean(losses[:20])),
        "bad days": float(np.mean(losses[20:25])),
        "at the end": float(np.mean(losses[-10:])),
    }
    print("log loss " + ", ".join(f"{name} {value:.3f}" for name, value in found.items()))
    return found


if __name__ == "__main__":
    main()
