"""All four of Triton's own clients, unmodified, against one worker: http, http.aio, grpc, grpc.aio. Arguments: HTTP address, gRPC address."""

import asyncio
import queue
import sys

import numpy as np
import tritonclient.grpc as rpc
import tritonclient.grpc.aio as rpc_aio
import tritonclient.http as http
import tritonclient.http.aio as http_aio
from tritonclient.utils import InferenceServerException

KINDS = {"distance": "FP64", "delay": "FP64", "hour": "INT64", "carrier": "BYTES", "origin": "BYTES"}
COLUMNS = {
    "distance": np.array([512.0, 128.5, 2048.0]),
    "delay": np.array([3.5, -4.0, 60.0]),
    "hour": np.array([6, 12, 21]),
    "carrier": np.array(["AA", "UA", "DL"], object),
    "origin": np.array(["JFK", "EWR", "LGA"], object),
}


def inputs(module, columns=COLUMNS, kinds=KINDS, **how):
    made = []
    for name, values in columns.items():
        tensor = module.InferInput(name, list(values.shape), kinds[name])
        tensor.set_data_from_numpy(values, **how)
        made.append(tensor)
    return made


def refused(call, status, words):
    caught = None
    try:
        call()
    except InferenceServerException as error:
        caught = error
    assert caught is not None, f"not refused: {words}"
    assert caught.status() == status, caught.status()
    assert words in caught.message(), caught.message()
    assert "Traceback" not in caught.message()


def bits(result):
    return result.as_numpy("probability").tobytes()


def describes_itself(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("late")
    assert client.is_model_ready("late", "1")
    assert not client.is_model_ready("late", "9")
    assert not client.is_model_ready("nope")


def over_http(address):
    client = http.InferenceServerClient(address)
    describes_itself(client)
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    assert [t["name"] for t in client.get_model_metadata("late", "1")["inputs"]] == list(COLUMNS)

    result = client.infer("late", inputs(http), request_id="7")
    expected = bits(result)
    assert result.get_response()["id"] == "7"
    assert bits(client.infer("late", inputs(http, binary_data=False))) == expected
    flat = [http.InferRequestedOutput("probability", binary_data=False)]
    as_json = client.infer("late", inputs(http), outputs=flat)
    assert "data" in as_json.get_output("probability")
    assert bits(as_json) == expected
    for how in ("gzip", "deflate"):
        squeezed = client.infer(
            "late", inputs(http), request_compression_algorithm=how, response_compression_algorithm=how
        )
        assert bits(squeezed) == expected
    assert bits(client.async_infer("late", inputs(http)).get_result()) == expected

    half = COLUMNS | {"delay": COLUMNS["delay"].astype(np.float16), "distance": COLUMNS["distance"].astype(np.float16)}
    narrow = client.infer("late", inputs(http, half, KINDS | {"delay": "FP16", "distance": "FP16"}))
    assert bits(narrow) == expected
    best = http.InferRequestedOutput("probability", class_count=1)
    (first, *_) = client.infer("late", inputs(http), outputs=[best]).as_numpy("probability").ravel()
    assert float(first.decode().split(":")[0]) == round(float(np.frombuffer(expected, np.float32)[0]), 6)

    assert {row["state"] for row in client.get_model_repository_index()} == {"READY"}
    client.unload_model("late")
    assert not client.is_model_ready("late")
    assert [row["state"] for row in client.get_model_repository_index()] == ["UNAVAILABLE"]
    client.load_model("late")
    assert bits(client.infer("late", inputs(http))) == expected
    (counted,) = client.get_inference_statistics("late")["model_stats"]
    assert counted["inference_stats"]["success"]["count"] >= 8
    assert counted["inference_count"] == 3 * counted["inference_stats"]["success"]["count"]
    assert counted["last_inference"] > 1_500_000_000_000

    refused(lambda: client.infer("nope", inputs(http)), "404", "no deployment 'nope'")
    refused(lambda: client.infer("late", inputs(http), model_version="9"), "404", "version '9'")
    refused(lambda: client.infer("late", inputs(http)[1:]), "400", "'distance' is missing")
    refused(lambda: client.load_model("nope"), "404", "no deployment 'nope'")
    refused(lambda: client.load_model("late", config="{}"), "400", "'config'")
    refused(client.get_system_shared_memory_status, "501", "system_shared_memory")
    client.close()
    return expected


async def over_http_aio(address, expected):
    async with http_aio.InferenceServerClient(address) as client:
        assert await client.is_server_live()
        assert await client.is_model_ready("late")
        for how in (None, "gzip", "deflate"):
            result = await client.infer(
                "late", inputs(http_aio), request_compression_algorithm=how, response_compression_algorithm=how
            )
            assert bits(result) == expected
        several = await asyncio.gather(*[client.infer("late", inputs(http_aio)) for _ in range(20)])
        assert {bits(one) for one in several} == {expected}


def over_grpc(address, expected):
    client = rpc.InferenceServerClient(address)
    describes_itself(client)
    assert client.get_server_metadata().name == "noria"
    assert client.get_model_metadata("late").platform == "onnxruntime_onnx"

    result = client.infer("late", inputs(rpc), request_id="7", model_version="1")
    assert bits(result) == expected
    assert result.get_response().id == "7"
    assert result.get_response().model_version == "1"
    asked = client.infer("late", inputs(rpc), outputs=[rpc.InferRequestedOutput("probability")])
    assert bits(asked) == expected
    for how in ("gzip", "deflate"):
        assert bits(client.infer("late", inputs(rpc), compression_algorithm=how)) == expected
    answers: queue.Queue = queue.Queue()
    client.async_infer("late", inputs(rpc), lambda result, error: answers.put((result, error)))
    result, error = answers.get(timeout=20)
    assert error is None
    assert bits(result) == expected

    client.start_stream(lambda result, error: answers.put((result, error)))
    for number in range(3):
        client.async_stream_infer("late", inputs(rpc), request_id=str(number))
    client.async_stream_infer("late", inputs(rpc)[1:], request_id="faulty")
    client.async_stream_infer("late", inputs(rpc), request_id="after")
    got = [answers.get(timeout=20) for _ in range(5)]
    client.stop_stream()
    assert [result and result.get_response().id for result, _ in got] == ["0", "1", "2", None, "after"]
    assert "'distance' is missing" in got[3][1].message()
    assert all(bits(result) == expected for result, _ in got if result)
    assert got[0][0].get_response().parameters["triton_final_response"].bool_param

    assert [row.state for row in client.get_model_repository_index().models] == ["READY"]
    client.unload_model("late")
    assert not client.is_model_ready("late")
    refused(lambda: client.infer("late", inputs(rpc)), "StatusCode.NOT_FOUND", "was unloaded")
    client.load_model("late")
    assert bits(client.infer("late", inputs(rpc))) == expected
    (counted,) = client.get_inference_statistics("late").model_stats
    assert counted.inference_stats.success.count >= 16
    assert counted.inference_stats.fail.count >= 4

    refused(lambda: client.infer("nope", inputs(rpc)), "StatusCode.NOT_FOUND", "no deployment 'nope'")
    refused(lambda: client.infer("late", inputs(rpc), model_version="9"), "StatusCode.NOT_FOUND", "version '9'")
    refused(lambda: client.infer("late", inputs(rpc)[1:]), "StatusCode.INVALID_ARGUMENT", "'distance' is missing")
    refused(lambda: client.load_model("late", config="{}"), "StatusCode.INVALID_ARGUMENT", "'config'")
    refused(client.get_log_settings, "StatusCode.UNIMPLEMENTED", "")
    client.close()


async def over_grpc_aio(address, expected):
    async with rpc_aio.InferenceServerClient(address) as client:
        assert await client.is_server_ready()
        several = await asyncio.gather(*[client.infer("late", inputs(rpc_aio)) for _ in range(20)])
        assert {bits(one) for one in several} == {expected}

        async def requests():
            for number in range(3):
                yield {"model_name": "late", "inputs": inputs(rpc_aio), "request_id": str(number)}

        ids = []
        async for result, error in client.stream_infer(requests()):
            assert error is None
            assert bits(result) == expected
            ids.append(result.get_response().id)
        assert ids == ["0", "1", "2"]


expected = over_http(sys.argv[1])
asyncio.run(over_http_aio(sys.argv[1], expected))
over_grpc(sys.argv[2], expected)
asyncio.run(over_grpc_aio(sys.argv[2], expected))
print("ok all four clients")
