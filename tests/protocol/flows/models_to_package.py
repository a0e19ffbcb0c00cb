"""A team's models, logged and registered by MLflow's own client. Run with a server's URL and a folder, where the right answers are left."""

import json
import os
import sys
from pathlib import Path

os.environ["MLFLOW_TRACKING_URI"] = sys.argv[1]
import lightgbm
import mlflow
import numpy as np
import pandas as pd
import xgboost
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

folder = Path(sys.argv[2])
rng = np.random.default_rng(0)
table = pd.DataFrame({"age": rng.normal(40, 10, 200), "visits": rng.integers(0, 9, 200)})
late = (table["age"] + 5 * table["visits"] + rng.normal(0, 5, 200) > 60).astype(int)
mixed = table.assign(city=np.where(rng.random(200) < 0.5, "Rome", "Oslo"))
numbers = table.astype(float)
before = ColumnTransformer(
    [("n", StandardScaler(), ["age", "visits"]), ("t", OneHotEncoder(handle_unknown="ignore"), ["city"])]
)
pipeline = Pipeline([("before", before), ("model", LogisticRegression())]).fit(mixed, late)
matrix = numbers.to_numpy()
forest = RandomForestClassifier(5, max_depth=4, random_state=0).fit(matrix, late)
boosted = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1).fit(numbers, late)
extreme = xgboost.XGBClassifier(n_estimators=5, max_depth=3).fit(numbers, late)

quick = {"name": "model", "pip_requirements": ["scikit-learn"]}
with mlflow.start_run():
    mlflow.sklearn.log_model(pipeline, registered_model_name="pipeline", input_example=mixed[:5], **quick)
    mlflow.sklearn.log_model(
        forest, registered_model_name="pickled", input_example=matrix[:5], serialization_format="cloudpickle", **quick
    )
    mlflow.lightgbm.log_model(boosted.booster_, registered_model_name="booster", input_example=numbers[:5], **quick)
    mlflow.lightgbm.log_model(boosted, registered_model_name="lightgbm", input_example=numbers[:5], **quick)
    mlflow.xgboost.log_model(extreme, registered_model_name="xgboost", input_example=numbers[:5], **quick)
with mlflow.start_run() as run:
    trusted = ["sklearn.tree._tree.Tree"]
    mlflow.sklearn.log_model(forest, input_example=matrix[:5], skops_trusted_types=trusted, **quick)
mlflow.register_model(f"runs:/{run.info.run_id}/model", "forest")
mlflow.MlflowClient().set_registered_model_alias("pipeline", "champion", 1)

answers = {
    "pipeline": (mixed, pipeline),
    "booster": (numbers, boosted),
    "lightgbm": (numbers, boosted),
    "xgboost": (numbers, extreme),
    "forest": (numbers, forest),
}
right = {}
for name, (frame, model) in answers.items():
    asked = frame.to_numpy() if model is forest else frame
    right[name] = {"rows": frame.to_dict("list"), "probability": model.predict_proba(asked)[:, 1].tolist()}
(folder / "right.json").write_text(json.dumps(right))
print("ok", mlflow.__version__)
