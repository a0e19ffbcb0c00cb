"""Where a database is: a URL as libpq takes it, and how it is named to people, never with its password. Called by open.py."""

from dataclasses import dataclass

from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import Error

from noria.errors import SettingInvalid

EXAMPLE = "postgresql://noria@db.example.org/noria"
_SECRET = ("password", "sslpassword")
_DEFAULTS = {
    "application_name": "noria",
    "client_encoding": "utf8",
    "connect_timeout": "5",
    # A server that vanished without a word is noticed after half a minute, not after hours.
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
    # Of several hosts, and after a failover, the one that takes writes.
    "target_session_attrs": "read-write",
}


@dataclass(frozen=True)
class Location:
    """conninfo: what libpq connects with. shown: the same for messages. secret: what must never be in one."""

    conninfo: str
    shown: str
    secret: tuple[str, ...]

    def hide(self, text: str) -> str:
        """A message without the password."""
        for secret in self.secret:
            text = text.replace(secret, "***")
        return text


def parse(location: str) -> Location:
    """Read a URL. Raises SettingInvalid.

    >>> parse("postgresql://ada:secret@db.example.org/noria").shown
    'postgresql://ada@db.example.org/noria'
    """
    if not location.startswith(("postgresql://", "postgres://")):
        raise SettingInvalid("a PostgreSQL store needs a URL", remedy=f"give one such as '{EXAMPLE}'")
    try:
        given = {key: str(value) for key, value in conninfo_to_dict(location).items() if value is not None}
    except (Error, UnicodeError):
        # The driver's own words would repeat the URL, password and all.
        raise SettingInvalid(
            "the URL of the PostgreSQL store cannot be read",
            cause="it is no URL, or has a parameter that libpq does not know",
            remedy=f"give one such as '{EXAMPLE}'; write special characters in a password as %XX",
        ) from None
    secret = tuple(given[key] for key in _SECRET if given.get(key))
    host, port = given.get("host") or given.get("hostaddr") or "", given.get("port") or ""
    at = f"{host}:{port}" if port else host
    user = f"{given['user']}@" if given.get("user") else ""
    shown = f"postgresql://{user}{at}/{given.get('dbname') or given.get('user') or ''}"
    return Location(conninfo=make_conninfo("", **{**_DEFAULTS, **given}), shown=shown, secret=secret)
