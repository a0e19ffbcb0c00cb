"""A model asked by MLflow's own scoring client. Run with a worker's URL, rows and answers as JSON, in the clients' environment."""

import json
import sys
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import requests
from mlflow.models.utils import convert_input_example_to_serving_input
from mlflow.pyfunc.scoring_server import CONTENT_TYPE_CSV
from mlflow.pyfunc.scoring_server.client import ScoringServerClient

url, rows, expected = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
where = urlsplit(url)
client = ScoringServerClient(where.hostname, where.port)
frame = pd.DataFrame(rows)

client.wait_server_ready(timeout=10)
client.ping()
assert client.get_version()


def predictions(data, **more):
    answer = client.invoke(data, **more)
    table = answer.get_predictions()  # what the client makes of it
    assert len(table) == len(answer["predictions"])
    return answer["predictions"]


assert predictions(frame) == expected  # dataframe_split; missing numbers as NaN, which is no JSON
assert predictions(frame, params={}) == expected
assert predictions(frame.to_numpy(dtype=object).tolist()) == expected  # inputs
assert predictions(json.dumps({"dataframe_records": frame.to_dict(orient="records")})) == expected
assert predictions(json.dumps({"instances": frame.to_dict(orient="records")})) == expected
assert predictions(json.dumps({"inputs": {name: values.tolist() for name, values in frame.items()}})) == expected
assert predictions(convert_input_example_to_serving_input(frame)) == expected
assert predictions(np.array(frame.to_numpy(dtype=object))) == expected

answer = requests.post(
    f"{url}/invocations", data=frame.to_csv(index=False), headers={"Content-Type": CONTENT_TYPE_CSV}, timeout=10
)
assert answer.json() == {"predictions": expected}


def refused(data):
    said = "nothing"
    try:
        client.invoke(data)
    except Exception as error:  # noqa: BLE001 (the client raises this one)
        said = str(error)
    assert "error code 400" in said, said
    assert "BAD_REQUEST" in said, said


refused(frame.drop(columns=["hour"]))
refused(frame.assign(hour="noon"))
refused("what")
print("ok scoring")
