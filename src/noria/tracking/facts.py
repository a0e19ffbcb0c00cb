"""What a run can say of where it runs: user, host, process, Python, program. Called by app/recording."""

import getpass
import os
import platform
import socket
import sys
from pathlib import PurePath


def user() -> str:
    """Who runs this process; '' if the system does not know."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user without a name
        return ""


def facts() -> dict[str, str]:
    """Tags of a run. No arguments of the command line: secrets are handed over there.

    >>> sorted(facts())
    ['noria.host', 'noria.pid', 'noria.program', 'noria.python', 'noria.system']
    """
    return {
        "noria.host": socket.gethostname(),
        "noria.pid": str(os.getpid()),
        "noria.program": PurePath(sys.argv[0]).name if sys.argv and sys.argv[0] else "python",
        "noria.python": platform.python_version(),
        "noria.system": f"{platform.system()} {platform.machine()}",
    }
