"""Start a worker: `python -m noria.server.inference.run --home DIR`. One process here, or the parent of several, which imports nothing heavy.

Prints one JSON line {"url": ...} when it answers; SIGTERM finishes what is under way, writes the records and ends.
"""

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from noria.app.log_lines import set_up
from noria.errors import NoriaError
from noria.server.inference.access import check_address, keys_from
from noria.server.inference.run_options import Options, parse
from noria.server.inference.run_port import raise_open_files
from noria.server.inference.tls import check as check_certificates


def serve(options: Options) -> None:
    """Serve until SIGTERM or SIGINT; a second one ends the waiting for requests under way.

    Keys come from the file in the options and from the environment. Raises SettingInvalid for what cannot be, an address beyond this machine that
    anybody could use, or one that is taken; StoreUnavailable, ExtraMissing.
    """
    keys = keys_from(os.environ, file=options.api_key_file)
    certificates = options.certificates()
    check_certificates(certificates)
    check_address(options.host, options.port, guarded=bool(keys) or bool(certificates.client_ca))
    raise_open_files()
    if options.workers > 1 and not options.group:
        from noria.server.inference.processes import run_group

        run_group(options)
    else:
        from noria.server.inference.run_process import run_process

        run_process(options, keys=keys)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of a worker. Gives the exit code."""
    try:
        options = parse(arguments)
        set_up("noria-worker", home=Path(options.home))
        serve(options)
    except NoriaError as error:
        print(f"{error.headline()}\n{error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def leave(code: int) -> NoReturn:
    """End the process without taking the interpreter down piece by piece.

    Everything is written and closed by now, and the server's native threads may still end: one that touches the interpreter while it is finalised
    aborts the process (seen in 3 of 15 exits of a bare embedded server).
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    leave(main())
