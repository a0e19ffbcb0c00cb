"""A mail server that speaks real SMTP over a real socket, with STARTTLS and AUTH PLAIN, and keeps what it is given. Used by the tests of e-mail."""

import base64
import contextlib
import socketserver
import ssl
import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from types import TracebackType


@dataclass
class Taken:
    """One message that was taken, with its envelope."""

    sender: str
    recipients: list[str]
    message: EmailMessage
    is_tls: bool
    user: str


@dataclass
class MailServer(AbstractContextManager["MailServer"]):
    """Listens on a free port of loopback. tls: offered by STARTTLS. password: asked for. answers: SMTP command -> the answer it gets instead."""

    tls: ssl.SSLContext | None = None
    password: str = ""
    answers: dict[str, str] = field(default_factory=dict)
    taken: list[Taken] = field(default_factory=list)

    def __enter__(self) -> "MailServer":
        mail = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                session = _Session(mail, self)
                with contextlib.suppress(OSError):  # who does not trust the certificate leaves in the middle
                    session.run()
                session.close()

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Session:
    def __init__(self, mail: MailServer, handler: socketserver.StreamRequestHandler) -> None:
        self._mail = mail
        self._socket = handler.request
        self._file = handler.request.makefile("rb")
        self._is_tls = False
        self._user = ""
        self._sender = ""
        self._recipients: list[str] = []

    def run(self) -> None:
        self._say("220 mail.test ready")
        while line := self._file.readline():
            word = line.decode().split(maxsplit=1)[0].upper()
            if word in self._mail.answers:
                self._say(self._mail.answers[word])
                continue
            if not self._do(word, line.decode().strip()):
                return

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def _do(self, word: str, line: str) -> bool:
        match word:
            case "EHLO":
                offered = ["STARTTLS"] if self._mail.tls and not self._is_tls else []
                offered += ["AUTH PLAIN"] if self._mail.password else []
                self._say("250-mail.test")
                for one in offered:
                    self._say(f"250-{one}")
                self._say("250 8BITMIME")
            case "STARTTLS":
                assert self._mail.tls is not None
                self._say("220 go on")
                self._file.close()
                self._socket = self._mail.tls.wrap_socket(self._socket, server_side=True, do_handshake_on_connect=False)
                self._file = self._socket.makefile("rb")
                self._socket.do_handshake()
                self._is_tls = True
            case "AUTH":
                _, user, password = base64.b64decode(line.split()[2]).decode().split("\0")
                self._user = user
                self._say("235 well" if password == self._mail.password else "535 who is that")
            case "MAIL":
                self._sender, self._recipients = _address(line), []
                self._say("250 well")
            case "RCPT":
                self._recipients.append(_address(line))
                self._say("250 well")
            case "DATA":
                self._say("354 go on")
                self._take()
                self._say("250 taken")
            case "QUIT":
                self._say("221 bye")
                return False
            case _:
                self._say("250 well")
        return True

    def _take(self) -> None:
        lines = []
        while (line := self._file.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b"."))
        message = message_from_bytes(b"".join(lines), policy=policy.default)
        assert isinstance(message, EmailMessage)
        self._mail.taken.append(Taken(self._sender, self._recipients, message, is_tls=self._is_tls, user=self._user))

    def _say(self, line: str) -> None:
        self._socket.sendall(line.encode() + b"\r\n")


def _address(line: str) -> str:
    return line.partition("<")[2].partition(">")[0]
