"""The Open Inference Protocol V2 over gRPC, as Triton extends it: messages, requests, answers, the service and its server. Needs the extra grpc."""
