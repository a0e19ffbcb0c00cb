"""Put the REST API together: routes, errors, access, headers. Called by run.py, by the tests, and to write the OpenAPI document."""

from importlib import import_module

from litestar import Litestar
from litestar.config.compression import CompressionConfig
from litestar.datastructures import MutableScopeHeaders
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.types import ControllerRouterHandler, Message, Scope

from noria import __version__
from noria.app.alerting import Courier
from noria.app.alerting_run import courier_of
from noria.app.webhooks import Deliverer
from noria.app.workspace import Workspace
from noria.errors import NoriaError
from noria.server.control import (
    access,
    alerts,
    analysis,
    audit,
    changes,
    deliveries,
    deployments,
    deployments_acts,
    ephemeral,
    home,
    inputs,
    measuring,
    models,
    predictions,
    predictions_feedback,
    problems,
    quality_windows,
    retraining,
    runs,
    schema,
    shadow,
    triggers,
    webhooks,
    why,
)
from noria.server.control.blobs import blobs_router
from noria.server.control.quality import Quality
from noria.server.control.store import store_router

MAX_BODY = 16 * 1024 * 1024
"""Largest request body in bytes: some 150,000 labels."""

ROUTES: tuple[ControllerRouterHandler, ...] = (
    home.health,
    measuring.metrics,
    home.status,
    audit.list_events,
    audit.verify_ledger,
    runs.list_runs,
    runs.read_run,
    runs.read_series,
    models.list_models,
    models.read_model,
    models.read_alias,
    models.read_version,
    deployments.list_deployments,
    deployments.read_deployment,
    deployments.read_quality,
    deliveries.read_standing,
    deliveries.list_deliveries,
    deliveries.read_delivery,
    deliveries.approve,
    quality_windows.read_windows,
    shadow.read_shadow,
    deployments.read_watch,
    deployments_acts.list_declarations,
    deployments_acts.make_plan,
    deployments_acts.apply_declarations,
    deployments_acts.deploy_version,
    deployments_acts.roll_back,
    deployments_acts.stop,
    deployments_acts.resume,
    deployments_acts.override,
    retraining.ask_for_training,
    triggers.list_triggers,
    triggers.call_trigger,
    inputs.read_inputs,
    analysis.read_errors,
    analysis.read_groups,
    analysis.read_causes,
    analysis.read_anomalies,
    analysis.read_texts,
    predictions.list_predictions,
    predictions.add_labels,
    predictions.labels_aside,
    predictions_feedback.add_word,
    predictions_feedback.add_feedback,
    predictions_feedback.list_feedback,
    why.read_why,
    changes.stream_changes,
    alerts.list_alerts,
    alerts.read_alert,
    alerts.acknowledge_alert,
    alerts.snooze_alert,
    alerts.resolve_alert,
    alerts.reopen_alert,
    alerts.list_receivers,
    alerts.try_receiver,
    webhooks.list_webhooks,
    webhooks.make_webhook,
    webhooks.change_webhook,
    webhooks.drop_webhook,
    webhooks.try_webhook,
    access.read_session,
    access.sign_in,
    schema.no_such_path,
)
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}


def create_app(
    workspace: Workspace,
    *,
    key: str | None = None,
    loopback: bool = True,
    pages: str = "",
    streams: changes.Streams | None = None,
    hooks: Deliverer | None = None,
    measurements: measuring.Measurements | None = None,
    courier: Courier | None = None,
) -> Litestar:
    """The control plane of one workspace, as an ASGI application.

    key: what a caller must show (at least 16 characters); None asks for nothing, which is right on loopback only. loopback: answer to the names
    of this machine only. pages: `module:function` that gives the router of the UI; loaded by name, because faces do not know each other.
    streams: ends the streams of changes when the server leaves. hooks: who tells webhooks; here it sends their tests only. measurements: what
    GET /metrics gives, where somebody else gives it out too. courier: who tells of alerts; here it is woken, and sends tests.
    """
    keyring = access.Keyring(key)
    quality, windows = Quality(), quality_windows.Windows()
    streams = streams or changes.Streams()
    hooks = hooks or webhooks.deliverer_of(workspace)
    courier = courier or courier_of(workspace)
    measurements = measurements or measuring.Measurements(workspace)
    # A workspace has the six ports of a metadata store, each opened at its first use; so the server opens none before it is asked.
    routes = [
        *ROUTES,
        store_router(measuring.measured(workspace, workspace.telemetry)),
        blobs_router(workspace),
        *([_router(pages)] if pages else []),
        *([ephemeral.reset] if workspace.is_ephemeral else []),
    ]
    return Litestar(
        route_handlers=routes,
        dependencies={
            "workspace": Provide(lambda: workspace, sync_to_thread=False),
            "quality": Provide(lambda: quality, sync_to_thread=False),
            "windows": Provide(lambda: windows, sync_to_thread=False),
            "hooks": Provide(lambda: hooks, sync_to_thread=False),
            "courier": Provide(lambda: courier, sync_to_thread=False),
            "measurements": Provide(lambda: measurements, sync_to_thread=False),
            "streams": Provide(lambda: streams, sync_to_thread=False),
            "keyring": Provide(lambda: keyring, sync_to_thread=False),
        },
        middleware=[access.Gatekeeper(keyring, loopback=loopback)],
        exception_handlers={
            NoriaError: problems.known,
            HTTPException: problems.refused,
            Exception: problems.unexpected,
        },
        before_send=[_headers],
        compression_config=CompressionConfig(
            backend="gzip", minimum_size=1024, gzip_compress_level=5, exclude_opt_key="packed"
        ),
        openapi_config=OpenAPIConfig(
            title="Noria",
            version=__version__,
            description="The control plane: the loop, runs, models, deployments, predictions, the ledger.",
            path="/api/v1",
            openapi_router=schema.router(),
            render_plugins=[schema.CompleteJson()],
            use_handler_docstrings=True,
        ),
        request_max_body_size=MAX_BODY,
        logging_config=None,
        debug=False,
    )


async def _headers(message: Message, _: Scope) -> None:
    """Put the headers on every answer, whoever made it; what an answer says itself stays."""
    if message["type"] == "http.response.start":
        headers = MutableScopeHeaders.from_message(message)
        for name, value in HEADERS.items():
            headers.setdefault(name, value)


def _router(pages: str) -> ControllerRouterHandler:
    module, _, name = pages.partition(":")
    router: ControllerRouterHandler = getattr(import_module(module), name)()
    return router
