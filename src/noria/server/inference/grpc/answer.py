"""An answer of gRPC's ModelInfer: raw contents where the request was raw, typed ones where it was typed. Requests are question.

Source: kserve/open-inference-protocol, open_inference_grpc.proto. Called by service.
"""

from typing import Any

from noria.server.inference.answering import Answer
from noria.server.inference.grpc.question import CONTENTS, GrpcQuestion
from noria.server.inference.grpc.schema import message
from noria.server.inference.v2_answer import Output, outputs_of, parameters_of, texts, to_bytes


def respond(answer: Answer, question: GrpcQuestion) -> Any:
    """A ModelInferResponse. Raises RequestInvalid for an output that does not exist."""
    outputs = outputs_of(answer, question.wanted)
    response = message("ModelInferResponse")(
        model_name=answer.live.deployment,
        model_version=str(answer.served.variant.number),
        id=question.request.id,
    )
    for name, value in parameters_of(answer).items():
        response.parameters[name].string_param = value
    for output in outputs:
        tensor = response.outputs.add(name=output.name, datatype=output.datatype, shape=output.shape)
        if question.is_raw:
            response.raw_output_contents.append(to_bytes(output))
        else:
            getattr(tensor.contents, CONTENTS[output.datatype]).extend(_values(output))
    return response


def _values(output: Output) -> Any:
    return texts(output) if output.datatype == "BYTES" else output.values.ravel().tolist()
