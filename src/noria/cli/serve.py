"""`noria serve SOURCE`: answer predictions for one model, alone: no control plane, no pages, no loop."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from noria.app.serve import Started, arguments_of, available_cores, follow, port_from, publish, start
from noria.app.serve_source import Source, find
from noria.app.stores import open_blobs
from noria.app.workspace import Workspace
from noria.cli.show import as_json, table
from noria.errors import InputInvalid
from noria.serving import desired
from noria.serving.recording import Recording, written


def configure(command: argparse.ArgumentParser) -> None:
    """What, where, how recorded, how guarded."""
    command.add_argument(
        "source",
        nargs="?",
        default="",
        help="models:/NAME@ALIAS, models:/NAME/NUMBER, a bundle's digest, a folder, s3://BUCKET/PREFIX/PROJECT[/DIGEST]; "
        "default: every deployment of this project",
    )
    command.add_argument("--host", default=None, help="address to listen on (default from noria.toml, 127.0.0.1)")
    command.add_argument("--port", type=int, default=None, help="0 takes a free one (default from noria.toml, 8322)")
    command.add_argument("--grpc-port", type=int, default=None, help="also speak gRPC there; 0 takes a free one")
    command.add_argument("--workers", type=int, default=None, help="processes (default: one a core)")
    command.add_argument("--durable", action="store_true", help="a prediction is on the disk before it is answered")
    command.add_argument(
        "--sample", type=float, default=None, metavar="RATE", help="record this share of the requests (default: all)"
    )
    command.add_argument(
        "--redact", action="append", default=[], metavar="COLUMN", help="do not record this input (may be repeated)"
    )
    command.add_argument("--no-log", action="store_true", help="record no prediction")
    command.add_argument(
        "--deadline-ms", type=float, default=0.0, help="time for an answer (default: as the caller says)"
    )
    command.add_argument("--max-in-flight", type=int, default=None, help="requests that a process takes on at once")
    command.add_argument(
        "--grace-s", type=float, default=0.0, help="after SIGTERM, seconds of answering while not ready"
    )
    command.add_argument("--drain-s", type=float, default=None, help="then, seconds for requests under way to finish")
    command.add_argument("--tls-cert", default="", help="PEM file with the certificate")
    command.add_argument("--tls-key", default="", help="PEM file with its key")
    command.add_argument("--tls-client-ca", default="", help="PEM file: demand certificates that it signed of clients")
    command.add_argument("--api-key-file", default="", help="a line a key: name key, or name sha256:<hex>")


def run(options: argparse.Namespace) -> int:
    """Serve until interrupted."""
    with tempfile.TemporaryDirectory(prefix="noria-serve-") as folder, Workspace.open() as workspace:
        scratch = Path(folder)
        _say(options, f"looking for {options.source or 'the deployments of this project'}")
        source = find(
            options.source,
            settings=workspace.settings,
            home=workspace.home,
            models=lambda: workspace.models,
            scratch=scratch,
        )
        publish(source, scratch=scratch)
        recording = {} if options.no_log else _recording(options, source, workspace)
        # What shall record nothing leaves nothing behind either: opened bundles are kept in the scratch folder then.
        home = scratch / "home" if options.no_log else workspace.home
        words, workers = _words(options, source, workspace, home=home, scratch=scratch)
        if recording:
            words += ["--recording", written(recording)]
        _say(options, f"starting {workers} {'process' if workers == 1 else 'processes'} and loading")
        allowed = {"NORIA_ALLOW_CODE": "1"} if workspace.settings.packaging.allow_code else {}
        started = start(words, environment=allowed)
        _show(options, source, started, workers=workers, kept=_kept(options, recording, home))
        return follow(
            started,
            source,
            models=(lambda: workspace.models) if source.follows else None,
            scratch=scratch,
            tell=lambda text: print(text, file=sys.stderr, flush=True),
        )


def _words(
    options: argparse.Namespace, source: Source, workspace: Workspace, *, home: Path, scratch: Path
) -> tuple[list[str], int]:
    """The worker's command line, and how many processes it says."""
    serving = workspace.settings.serving
    platform = port_from(os.environ)
    host = options.host or (serving.host if platform is None else "0.0.0.0")
    port = options.port if options.port is not None else (serving.worker_port if platform is None else platform)
    workers = available_cores() if options.workers is None else options.workers
    if workers < 1:
        raise InputInvalid(f"--workers {workers} is too small", remedy="use 1 or more")
    words = [*arguments_of(source, home=home, scratch=scratch), "--host", host, "--port", str(port)]
    words += ["--workers", str(workers), "--deadline-ms", str(options.deadline_ms), "--grace-s", str(options.grace_s)]
    for name in ("grpc_port", "max_in_flight", "drain_s", "tls_cert", "tls_key", "tls_client_ca", "api_key_file"):
        value = getattr(options, name)
        if value not in (None, ""):
            words += [f"--{name.replace('_', '-')}", str(value)]
    if options.durable or serving.durable:
        words.append("--durable")
    if options.no_log:
        words.append("--no-log")
    return words, workers


def _say(options: argparse.Namespace, text: str) -> None:
    """Progress, for people; it goes to standard error, so that standard output holds the result alone."""
    if not options.json:
        print(f"{text} …", file=sys.stderr, flush=True)


def _show(options: argparse.Namespace, source: Source, started: Started, *, workers: int, kept: dict[str, str]) -> None:
    """Say aloud what answers, who may ask, what is recorded and what is not."""
    rows = {
        **_served(source),
        "address": f"{started.told['url']} ({workers} {'process' if workers == 1 else 'processes'})",
        **({"gRPC": str(started.told["grpc"])} if "grpc" in started.told else {}),
        "access": _access(options),
        **kept,
    }
    if options.json:
        as_json({**started.told, "source": source.said, **rows})
    else:
        table(["", ""], [[name, text] for name, text in rows.items()])
        print(f"curl {started.told['url']}/v2/health/ready", flush=True)
    sys.stdout.flush()


def _served(source: Source) -> dict[str, str]:
    if source.variant is None or source.bundle is None:
        return {"serves": source.said}
    followed = ", followed when it moves" if source.follows else ""
    code = "no code in it" if source.bundle.code_free else "runs code from the bundle"
    return {
        "serves": f"{source.name}, version {source.variant.number} ({source.variant.version}), from {source.said}{followed}",
        "bundle": f"{source.variant.bundle}, {source.bundle.flavor}, {code}",
    }


def _access(options: argparse.Namespace) -> str:
    ways = []
    if options.api_key_file or os.environ.get("NORIA_API_KEY") or os.environ.get("NORIA_API_KEYS"):
        ways.append("an API key")
    if options.tls_client_ca:
        ways.append("a client's certificate")
    who = " and ".join(ways) or "anybody on this machine"
    return f"{who}, over {'TLS' if options.tls_cert else 'plain HTTP'}"


def _recording(options: argparse.Namespace, source: Source, workspace: Workspace) -> dict[str, Recording]:
    """deployment -> what is recorded of it, where that is not everything: noria.toml, and what the command line says instead for what it serves."""
    set_up = dict(workspace.settings.serving.recording)
    names = [source.name] if source.variant is not None else _published(source, workspace)
    recording = {name: set_up[name] for name in names if name in set_up}
    if options.sample is None and not options.redact:
        return recording
    for name in names:
        former = recording.get(name, Recording())
        try:
            recording[name] = Recording(
                rate=former.rate if options.sample is None else options.sample,
                leave_out=tuple(dict.fromkeys([*former.leave_out, *options.redact])),
                digest=tuple(column for column in former.digest if column not in options.redact),
            )
        except ValueError as exc:
            raise InputInvalid(f"--sample {options.sample} cannot be", cause=str(exc), remedy="--sample 0.1") from exc
    return recording


def _published(source: Source, workspace: Workspace) -> list[str]:
    place = source.place
    return desired.names(open_blobs(place.blobs, place.location, home=workspace.home, project=place.project))


def _kept(options: argparse.Namespace, recording: dict[str, Recording], home: Path) -> dict[str, str]:
    """Which part of a prediction is kept, where, and what a crash can take."""
    if options.no_log:
        return {"recorded": "nothing; drift cannot be watched, and predictions cannot be explained later"}
    shares = sorted({f"{each.rate:g} of the requests to {name}" for name, each in recording.items() if each.rate < 1})
    columns = sorted({f"input {column!r} of {name}" for name, each in recording.items() for column in each.leave_out})
    digests = sorted({f"input {column!r} of {name}" for name, each in recording.items() for column in each.digest})
    crash = (
        "nothing: an answer is given when its record is on the disk"
        if options.durable
        else "kill -9: answers of the last moment (0.05 s, more if the disk is behind); a power cut: what the system has not written yet"
    )
    return {
        "recorded": f"of {', '.join(shares) or 'every request'}: inputs, outputs, business keys, version, time, latency, protocol",
        "not recorded": ", ".join(
            [*columns, "headers, addresses and API keys of callers", "requests that were refused"]
        ),
        **({"as a salted digest": ", ".join(digests)} if digests else {}),
        "kept in": str(home / "predictions"),
        "lost in a crash": crash,
    }
