"""What the environment says of OpenTelemetry, and who this process is to a collector. Off unless a collector is named; then nothing is imported.

The variables are OpenTelemetry's own. Used by otlp_metrics and by the worker's spans (inference/tracing).
"""

import os
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from noria import __version__
from noria.errors import ExtraMissing, SettingInvalid

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

Signal = Literal["traces", "metrics"]
SPOKEN = "http/protobuf"


def is_wanted(environ: Mapping[str, str], signal: Signal = "traces") -> bool:
    """Whether a signal shall be sent. Raises SettingInvalid for an exporter or a protocol that is not spoken.

    >>> is_wanted({}), is_wanted({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}), is_wanted({"OTEL_TRACES_EXPORTER": "otlp"})
    (False, True, True)
    >>> is_wanted({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_METRICS_EXPORTER": "none"}, "metrics")
    False
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    which = signal.upper()
    exporter = environ.get(f"OTEL_{which}_EXPORTER", "").strip().lower()
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", f"OTEL_EXPORTER_OTLP_{which}_ENDPOINT")
    if exporter == "none" or (not exporter and not any(environ.get(name) for name in endpoints)):
        return False
    if exporter not in ("", "otlp"):
        raise SettingInvalid(
            f"OTEL_{which}_EXPORTER is {exporter!r}", remedy=f"export OTEL_{which}_EXPORTER=otlp, or none"
        )
    protocols = (f"OTEL_EXPORTER_OTLP_{which}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    protocol = next((environ[name].strip() for name in protocols if environ.get(name)), SPOKEN)
    if protocol != SPOKEN:
        raise SettingInvalid(
            f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol!r}",
            cause=f"Noria speaks {SPOKEN} only",
            remedy=f"export OTEL_EXPORTER_OTLP_PROTOCOL={SPOKEN}, on port 4318 of most collectors",
        )
    return True


def resource(service: str) -> "Resource":
    """This process as a collector knows it. service: its name, where the environment gives none."""
    from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_VERSION, Resource

    own = {SERVICE_NAME: os.environ.get("OTEL_SERVICE_NAME") or service, SERVICE_VERSION: __version__}
    return Resource.create(own | {SERVICE_INSTANCE_ID: f"{socket.gethostname()}:{os.getpid()}"})


def packages_missing(signal: Signal) -> ExtraMissing:
    """The error where a signal is wanted and OpenTelemetry is not installed."""
    what = "spans" if signal == "traces" else signal
    return ExtraMissing(
        f"sending {what} needs the package 'opentelemetry-exporter-otlp-proto-http'",
        cause="the environment names a collector (OTEL_...)",
        remedy=f"pip install 'noria[otel]', or export OTEL_{signal.upper()}_EXPORTER=none",
    )
