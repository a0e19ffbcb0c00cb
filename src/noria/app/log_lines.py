"""How Noria's processes write their logs: text for people, or one JSON object a line in the Elastic Common Schema for who collects them.

`set_up` is called once, by each process that serves. Errors are counted by group on the way (app/error_groups). Nothing is sent: stderr is the log.
"""

import json
import logging
import os
import platform
import sys
import threading
import traceback
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from noria import __version__
from noria.app.error_groups import ErrorBook
from noria.app.settings import Logs
from noria.errors import NoriaError, SettingInvalid

ECS_VERSION = "8.11"
TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
FORMAT, LEVEL = "NORIA_LOG_FORMAT", "NORIA_LOG_LEVEL"
FORMATS = ("text", "json")
LEVELS = ("debug", "info", "warning", "error")


def chosen(logs: Logs | None = None) -> Logs:
    """What holds: the settings, and over them NORIA_LOG_FORMAT and NORIA_LOG_LEVEL. Raises SettingInvalid."""
    logs = logs or Logs()
    found = Logs(format=os.environ.get(FORMAT) or logs.format, level=(os.environ.get(LEVEL) or logs.level).lower())
    for name, value, known in (("format", found.format, FORMATS), ("level", found.level, LEVELS)):
        if value not in known:
            raise SettingInvalid(
                f"logs cannot have the {name} {value!r}",
                cause=f"known: {', '.join(known)}",
                remedy=f"correct [logs] in noria.toml, or NORIA_LOG_{name.upper()}",
            )
    return found


def set_up(service: str, *, logs: Logs | None = None, home: Path | None = None, hand_on: bool = False) -> None:
    """Write this process's log to stderr, and count its errors. service: what ECS calls service.name: 'noria-worker', 'noria'.

    home: the project's, where errors are kept for `noria doctor --errors`; None keeps them in memory. hand_on: whether processes that this one
    starts write as it does. Whatever ends a thread or the process unforeseen is in the log too. Raises SettingInvalid.
    """
    held = chosen(logs)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(EcsFormatter(service) if held.format == "json" else logging.Formatter(TEXT))
    level = getattr(logging, held.level.upper())
    root = logging.getLogger()
    for former in [each for each in root.handlers if isinstance(each, ErrorBook)]:
        former.close()
    logging.basicConfig(
        level=max(level, logging.WARNING), handlers=[handler, ErrorBook(home, service=service)], force=True
    )
    logging.getLogger("noria").setLevel(level)
    threading.excepthook = _thread_ended
    sys.excepthook = _process_ended
    if hand_on:
        os.environ |= {FORMAT: held.format, LEVEL: held.level}


class EcsFormatter(logging.Formatter):
    """One JSON object a line. What a line carries in `extra` under a name with a dot (`event.action`) is a field of that name."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._fixed: dict[str, Any] = {
            "ecs.version": ECS_VERSION,
            "service.name": service,
            "service.version": __version__,
            "host.hostname": platform.node(),
        }

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter. The first three fields stand in the order that ECS asks for."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        held: dict[str, Any] = {
            "@timestamp": at,
            "log.level": record.levelname.lower(),
            "message": record.getMessage(),
            **self._fixed,
            "log.logger": record.name,
            "log.origin.file.name": record.filename,
            "log.origin.file.line": record.lineno,
            "log.origin.function": record.funcName,
            "process.pid": record.process,
            "process.thread.name": record.threadName,
            **{name: value for name, value in record.__dict__.items() if "." in name},
        }
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            held["error.type"] = type(error).__name__
            held["error.message"] = error.problem if isinstance(error, NoriaError) else str(error)
            held["error.stack_trace"] = "".join(traceback.format_exception(error))
            if isinstance(error, NoriaError):
                held["error.code"] = error.code
        return json.dumps(held, default=str)


def _thread_ended(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value is not None and not isinstance(ended.exc_value, SystemExit):
        name = ended.thread.name if ended.thread is not None else "unknown"
        logging.getLogger("noria").error("thread %s ended with an error", name, exc_info=ended.exc_value)


def _process_ended(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if isinstance(error, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        logging.getLogger("noria").critical("the process ended with an error", exc_info=error)
