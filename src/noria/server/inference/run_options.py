"""What a worker can be told: one struct, its command line, and back, because the parent of several processes tells each the same. Called by run.

Nothing heavy is imported here: the parent holds no model.
"""

import argparse
from collections.abc import Sequence

import msgspec

from noria.errors import SettingInvalid
from noria.server.inference.body import LIMIT_BYTES
from noria.server.inference.limits import BODY_S, IN_FLIGHT, IN_FLIGHT_BYTES, Limits
from noria.server.inference.tls import Certificates
from noria.serving.record import CAPACITY_ROWS

DRAIN_S = 5.0
IDLE_S = 75.0
"""More than the 60 s after which common load balancers give an idle connection up, so that theirs is the side that closes it."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The worker's command line; every field is a flag of that name, whose help says what it means."""

    home: str
    blobs: str = "local"
    blobs_location: str = ""
    project: str = "default"
    documents: str = ""
    host: str = "127.0.0.1"
    port: int = 8322
    grpc_port: int | None = None
    workers: int = 1
    deployment: tuple[str, ...] = ()
    durable: bool = False
    replay_clock: bool = False
    when_full: str = "drop"
    ring_rows: int = CAPACITY_ROWS
    body_limit: int = LIMIT_BYTES
    max_in_flight: int = IN_FLIGHT
    max_in_flight_bytes: int = IN_FLIGHT_BYTES
    deadline_ms: float = 0.0
    body_s: float = BODY_S
    idle_s: float = IDLE_S
    grace_s: float = 0.0
    drain_s: float = DRAIN_S
    no_log: bool = False
    recording: str = ""
    api_key_file: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    tls_client_ca: str = ""
    group: str = ""
    slot: int = 0

    def limits(self) -> Limits:
        """How much each process takes on."""
        return Limits(
            in_flight=self.max_in_flight,
            in_flight_bytes=self.max_in_flight_bytes,
            body_s=self.body_s,
            deadline_s=self.deadline_ms / 1000.0,
        )

    def certificates(self) -> Certificates:
        """Of the port."""
        return Certificates(cert=self.tls_cert, key=self.tls_key, client_ca=self.tls_client_ca)

    def arguments(self) -> list[str]:
        """The command line that says this.

        >>> Options(home="h", port=0, durable=True, deployment=("a", "b")).arguments()
        ['--home', 'h', '--port', '0', '--deployment', 'a', '--deployment', 'b', '--durable']
        """
        words: list[str] = []
        for field in msgspec.structs.fields(self):
            value = getattr(self, field.name)
            if value == field.default:
                continue
            flag = f"--{field.name.replace('_', '-')}"
            if value is True:
                words.append(flag)
            else:
                for each in value if isinstance(value, tuple) else (value,):
                    words += [flag, str(each)]
        return words


def parse(arguments: Sequence[str] | None) -> Options:
    """Read a command line. Raises SettingInvalid for numbers that cannot be."""
    given = vars(_parser().parse_args(arguments))
    options = msgspec.convert({**given, "deployment": given["deployment"] or ()}, Options)
    check(options)
    return options


def check(options: Options) -> None:
    """Raises SettingInvalid for numbers that cannot be."""
    for name, least in (
        ("workers", 1),
        ("ring_rows", 1),
        ("body_limit", 1),
        ("max_in_flight", 1),
        ("max_in_flight_bytes", 1),
        ("deadline_ms", 0),
        ("body_s", 0.1),
        ("idle_s", 0.1),
        ("grace_s", 0),
        ("drain_s", 0),
    ):
        if getattr(options, name) < least:
            raise SettingInvalid(
                f"--{name.replace('_', '-')} {getattr(options, name)} is too small", remedy=f"use {least} or more"
            )
    if options.grpc_port is not None and not 0 <= options.grpc_port <= 65535:
        raise SettingInvalid(f"port {options.grpc_port} is no port", remedy="use 0 (any free one) to 65535")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="noria worker", description="Answer predictions for the deployments of one project."
    )
    parser.add_argument("--home", required=True, help="the project's folder (.noria)")
    parser.add_argument("--blobs", default="local", help="where bundles are: local, object_store")
    parser.add_argument(
        "--blobs-location", default="", help="such as s3://bucket/prefix; default: in the project's folder"
    )
    parser.add_argument(
        "--project", default="default", help="the project, whose name an object store's keys begin with"
    )
    parser.add_argument(
        "--documents",
        default="",
        help="a folder that says what to serve; default: what is published beside the bundles",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8322, help="0 takes a free one")
    parser.add_argument("--grpc-port", type=int, default=None, help="also speak gRPC there; 0 takes a free one")
    parser.add_argument("--workers", type=int, default=1, help="processes that share the port")
    parser.add_argument(
        "--deployment", action="append", help="serve only this one (may be repeated); default: all that are published"
    )
    parser.add_argument("--api-key-file", default="", help="a line a key: name key, or name sha256:<hex>")
    parser.add_argument("--tls-cert", default="", help="PEM file with the certificate and those that signed it")
    parser.add_argument("--tls-key", default="", help="PEM file with its key, without a password")
    parser.add_argument("--tls-client-ca", default="", help="PEM file: demand certificates that it signed of clients")
    _add_recording(parser)
    _add_limits(parser)
    _add_group(parser)
    return parser


def _add_recording(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--durable", action="store_true", help="a prediction is on the disk before it is answered")
    parser.add_argument("--no-log", action="store_true", help="record no prediction")
    parser.add_argument(
        "--recording",
        default="",
        help='what is recorded, as JSON: {"flights": {"rate": 0.1, "leave_out": ["name"], "digest": ["email"]}}',
    )
    parser.add_argument("--replay-clock", action="store_true", help="believe the header Noria-Time")
    parser.add_argument(
        "--when-full", choices=("drop", "refuse"), default="drop", help="what to do when the prediction log is behind"
    )
    parser.add_argument("--ring-rows", type=int, default=CAPACITY_ROWS, help="rows that may wait to be written")


def _add_limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--body-limit", type=int, default=LIMIT_BYTES, help="largest request in bytes")
    parser.add_argument("--max-in-flight", type=int, default=IN_FLIGHT, help="requests a process takes on at once")
    parser.add_argument(
        "--max-in-flight-bytes", type=int, default=IN_FLIGHT_BYTES, help="bytes of their bodies, decoded ones included"
    )
    parser.add_argument("--deadline-ms", type=float, default=0.0, help="time for an answer; 0: as the caller says")
    parser.add_argument("--body-s", type=float, default=BODY_S, help="seconds for a body to arrive")
    parser.add_argument(
        "--idle-s", type=float, default=IDLE_S, help="seconds for a header to arrive, and between requests"
    )
    parser.add_argument(
        "--grace-s", type=float, default=0.0, help="after SIGTERM, seconds of answering while not ready"
    )
    parser.add_argument("--drain-s", type=float, default=DRAIN_S, help="then, seconds for requests under way to finish")


def _add_group(parser: argparse.ArgumentParser) -> None:
    """What the parent of several processes tells each of them."""
    parser.add_argument("--group", default="", help=argparse.SUPPRESS)
    parser.add_argument("--slot", type=int, default=0, help=argparse.SUPPRESS)
