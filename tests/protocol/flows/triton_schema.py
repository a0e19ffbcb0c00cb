"""The messages and methods of tritonclient's gRPC client, as JSON: what the wire's contract is."""

import json

from google.protobuf import descriptor_pb2
from tritonclient.grpc import service_pb2

file = descriptor_pb2.FileDescriptorProto()
service_pb2.DESCRIPTOR.CopyToProto(file)


def described(messages, outer=""):
    found = {}
    for message in messages:
        name = f"{outer}{message.name}"
        found[name] = {
            f.name: [f.number, f.type, f.label, f.type_name, f.HasField("oneof_index")] for f in message.field
        } | {"": message.options.map_entry}
        found |= described(message.nested_type, f"{name}.")
    return found


methods = {
    m.name: [m.input_type, m.output_type, m.client_streaming, m.server_streaming] for m in file.service[0].method
}
print(json.dumps({"messages": described(file.message_type), "methods": methods}))
