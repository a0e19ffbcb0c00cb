"""One process of a worker, put together: what is composed in app/worker, answering, the RSGI application and its server. Called by run."""

import asyncio
import gc
import os
import sys
from pathlib import Path
from typing import cast

from noria.app.error_groups import count_errors
from noria.app.stores import open_blobs
from noria.app.worker import Worker
from noria.app.worker_loader import LOOK_AFAR_S, LOOK_S
from noria.server.inference.access import Keys
from noria.server.inference.answering import Answering
from noria.server.inference.app import InferenceApp
from noria.server.inference.codec import Desk
from noria.server.inference.grpc.server import GrpcServer, open_server
from noria.server.inference.metrics import Metrics
from noria.server.inference.run_options import Options
from noria.server.inference.run_server import serve_http
from noria.server.inference.shared_metrics import Shared
from noria.server.inference.tracing import SERVICE, open_tracer
from noria.server.otlp_metrics import Pusher, open_pusher
from noria.serving.record import WhenFull
from noria.serving.recording import parse

SWITCH_S = 0.0005
"""How long the flusher or the loader may hold the interpreter while a request waits (Python's own setting is 5 ms)."""
GC_ALLOCATIONS = 50_000
"""Containers made before the collector looks for cycles; with Python's own 700 it ran every twenty requests over every waiting record."""


def run_process(options: Options, *, keys: Keys) -> None:
    """Serve until a signal ends it; then every record is written. Raises SettingInvalid, ExtraMissing."""
    sys.setswitchinterval(SWITCH_S)
    tracer = open_tracer()
    shared = Shared(Path(options.group) / "counts", os.getpid()) if options.group else None
    metrics = Metrics(shared, home=Path(options.home))
    count_errors(metrics)
    worker = _worker(options, metrics)
    answering = Answering(
        worker.board,
        worker.recorder,
        metrics,
        replay_clock=options.replay_clock,
        durable=options.durable,
        shadows=worker.shadows,
    )

    async def flush() -> bool:
        return await asyncio.to_thread(worker.flush)

    app = InferenceApp(
        answering,
        status=worker.status,
        flush=flush,
        shelf=worker.loader,
        keys=keys,
        body_limit=options.body_limit,
        limits=options.limits(),
        tracer=tracer,
    )
    metrics.follow(worker.recorder.status, worker.board.all, app.gate)

    async def open_grpc() -> GrpcServer | None:
        if options.grpc_port is None:
            return None
        return await open_server(
            answering,
            Desk(worker.board, worker.loader, metrics),
            host=options.host,
            port=options.grpc_port,
            keys=keys,
            gate=app.gate,
            body_limit=options.body_limit,
            certificates=options.certificates(),
            shared=bool(options.group),
            tracer=tracer,
        )

    pusher = _pusher(options, metrics)
    worker.start()
    _settle()
    try:
        asyncio.run(serve_http(app, worker.board, options, open_grpc=open_grpc))
    finally:
        worker.close()
        metrics.close()
        if pusher is not None:
            pusher.close()
        if tracer is not None:
            tracer.close()


def _pusher(options: Options, metrics: Metrics) -> Pusher | None:
    """One process answers for all of a worker, so one sends."""
    counting = os.getppid() if options.group else 0
    return open_pusher(metrics.families, service=SERVICE, counting=counting) if options.slot == 0 else None


def _settle() -> None:
    """What is loaded now stays: the collector need not look at it again, and records waiting to be written are no garbage."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_ALLOCATIONS, 20, 20)


def _worker(options: Options, metrics: Metrics) -> Worker:
    home = Path(options.home)
    blobs = open_blobs(options.blobs, options.blobs_location, home=home, project=options.project)
    documents = open_blobs("local", options.documents, home=home, project="") if options.documents else None
    return Worker(
        home,
        deployments=options.deployment or None,
        durable=options.durable,
        when_full=cast(WhenFull, options.when_full),
        capacity_rows=options.ring_rows,
        blobs=blobs,
        documents=documents,
        look_s=LOOK_S if documents is not None or options.blobs == "local" else LOOK_AFAR_S,
        recorded=not options.no_log,
        recording=parse(options.recording) if options.recording else None,
        group=Path(options.group) if options.group else None,
        slot=options.slot,
        telemetry=metrics,
    )
