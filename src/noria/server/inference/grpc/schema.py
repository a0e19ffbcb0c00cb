"""The messages of gRPC, as a table: names and numbers are the wire's contract, so nothing is generated and nothing can be out of date.

Source: kserve/open-inference-protocol, open_inference_grpc.proto; Triton, docs/protocol/extension_*.md; grpc.health.v1. A test compares every field
with the messages of Triton's own client. Called by service, question and answer. Making the classes took 0.8 ms.
"""

import re
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVICE = "inference.GRPCInferenceService"
HEALTH = "grpc.health.v1.Health"

MESSAGES: dict[str, str] = {
    "ServerLiveRequest": "",
    "ServerLiveResponse": "bool live 1",
    "ServerReadyRequest": "",
    "ServerReadyResponse": "bool ready 1",
    "ModelReadyRequest": "string name 1, string version 2",
    "ModelReadyResponse": "bool ready 1",
    "ServerMetadataRequest": "",
    "ServerMetadataResponse": "string name 1, string version 2, string[] extensions 3",
    "ModelMetadataRequest": "string name 1, string version 2",
    "ModelMetadataResponse": "string name 1, string[] versions 2, string platform 3, .TensorMetadata[] inputs 4, .TensorMetadata[] outputs 5",
    "ModelMetadataResponse.TensorMetadata": "string name 1, string datatype 2, int64[] shape 3",
    "InferParameter": (
        "one bool bool_param 1, one int64 int64_param 2, one string string_param 3, one double double_param 4, one uint64 uint64_param 5"
    ),
    "InferTensorContents": (
        "bool[] bool_contents 1, int32[] int_contents 2, int64[] int64_contents 3, uint32[] uint_contents 4, uint64[] uint64_contents 5,"
        "float[] fp32_contents 6, double[] fp64_contents 7, bytes[] bytes_contents 8"
    ),
    "ModelInferRequest": (
        "string model_name 1, string model_version 2, string id 3, InferParameter{} parameters 4, .InferInputTensor[] inputs 5,"
        ".InferRequestedOutputTensor[] outputs 6, bytes[] raw_input_contents 7"
    ),
    "ModelInferRequest.InferInputTensor": (
        "string name 1, string datatype 2, int64[] shape 3, InferParameter{} parameters 4, InferTensorContents contents 5"
    ),
    "ModelInferRequest.InferRequestedOutputTensor": "string name 1, InferParameter{} parameters 2",
    "ModelInferResponse": (
        "string model_name 1, string model_version 2, string id 3, InferParameter{} parameters 4, .InferOutputTensor[] outputs 5,"
        "bytes[] raw_output_contents 6"
    ),
    "ModelInferResponse.InferOutputTensor": (
        "string name 1, string datatype 2, int64[] shape 3, InferParameter{} parameters 4, InferTensorContents contents 5"
    ),
    "ModelStreamInferResponse": "string error_message 1, ModelInferResponse infer_response 2",
    "ModelRepositoryParameter": "one bool bool_param 1, one int64 int64_param 2, one string string_param 3, one bytes bytes_param 4",
    "RepositoryIndexRequest": "string repository_name 1, bool ready 2",
    "RepositoryIndexResponse": ".ModelIndex[] models 1",
    "RepositoryIndexResponse.ModelIndex": "string name 1, string version 2, string state 3, string reason 4",
    "RepositoryModelLoadRequest": "string repository_name 1, string model_name 2, ModelRepositoryParameter{} parameters 3",
    "RepositoryModelLoadResponse": "",
    "RepositoryModelUnloadRequest": "string repository_name 1, string model_name 2, ModelRepositoryParameter{} parameters 3",
    "RepositoryModelUnloadResponse": "",
    "ModelStatisticsRequest": "string name 1, string version 2",
    "ModelStatisticsResponse": "ModelStatistics[] model_stats 1",
    "ModelStatistics": (
        "string name 1, string version 2, uint64 last_inference 3, uint64 inference_count 4, uint64 execution_count 5,"
        "InferStatistics inference_stats 6, InferBatchStatistics[] batch_stats 7"
    ),
    "InferStatistics": (
        "StatisticDuration success 1, StatisticDuration fail 2, StatisticDuration queue 3, StatisticDuration compute_input 4,"
        "StatisticDuration compute_infer 5, StatisticDuration compute_output 6, StatisticDuration cache_hit 7, StatisticDuration cache_miss 8"
    ),
    "StatisticDuration": "uint64 count 1, uint64 ns 2",
    "InferBatchStatistics": (
        "uint64 batch_size 1, StatisticDuration compute_input 2, StatisticDuration compute_infer 3, StatisticDuration compute_output 4"
    ),
}
"""Message -> its fields: `type name number`; [] repeated, {} a map from text, `one` of a choice, a leading dot: a message inside this one."""
HEALTH_MESSAGES = {"HealthCheckRequest": "string service 1", "HealthCheckResponse": "int32 status 1"}
"""On the wire an enum is its number: 0 unknown, 1 serving, 2 not serving, 3 service unknown."""

_SCALARS = {
    "double": 1,
    "float": 2,
    "int64": 3,
    "uint64": 4,
    "int32": 5,
    "bool": 8,
    "string": 9,
    "bytes": 12,
    "uint32": 13,
}
_FIELD = re.compile(r"(?P<one>one )?(?P<type>[.\w]+?)(?P<many>\[\]|\{\})? (?P<name>\w+) (?P<number>\d+)")
_MESSAGE, _OPTIONAL, _REPEATED = 11, 1, 3
_pool = descriptor_pool.DescriptorPool()  # our own: a client's generated messages may live in the same process
_classes: dict[str, Any] = {}


def message(name: str) -> Any:
    """The class of a message.

    >>> message("ModelReadyRequest")(name="late", version="1").SerializeToString()
    b'\\n\\x04late\\x12\\x011'
    """
    if not _classes:
        for package, table in (("inference", MESSAGES), ("grpc.health.v1", HEALTH_MESSAGES)):
            _pool.AddSerializedFile(file_of(package, table).SerializeToString())
            for full in table:
                _classes[full] = message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"{package}.{full}"))
    return _classes[name]


def file_of(package: str, table: dict[str, str]) -> Any:
    """The descriptor of a .proto file with these messages."""
    file = descriptor_pb2.FileDescriptorProto(name=f"noria/{package}.proto", package=package, syntax="proto3")
    made: dict[str, Any] = {}
    for full, fields in table.items():
        outer, _, name = full.rpartition(".")
        descriptor = made[outer].nested_type.add(name=name) if outer else file.message_type.add(name=name)
        made[full] = descriptor
        for found in _FIELD.finditer(fields):
            _add_field(descriptor, package, full, found)
    return file


def _add_field(descriptor: Any, package: str, full: str, found: "re.Match[str]") -> None:
    kind, name = found["type"], found["name"]
    field = descriptor.field.add(
        name=name, number=int(found["number"]), label=_REPEATED if found["many"] else _OPTIONAL
    )
    if found["many"] == "{}":
        entry = descriptor.nested_type.add(name="".join(part.capitalize() for part in name.split("_")) + "Entry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, label=_OPTIONAL, type=_SCALARS["string"])
        entry.field.add(name="value", number=2, label=_OPTIONAL, type=_MESSAGE, type_name=f".{package}.{kind}")
        kind = f".{entry.name}"
    if found["one"]:
        if not descriptor.oneof_decl:
            descriptor.oneof_decl.add(name="parameter_choice")
        field.oneof_index = 0
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type = _MESSAGE
        field.type_name = f".{package}.{full}{kind}" if kind.startswith(".") else f".{package}.{kind}"
