# SPDX-License-Identifier: ISC
"""A server that takes mail: what smtp and lmtp talk to in tests. Each session is a thread."""

import contextlib
import socket
import threading


class Session:
    def __init__(self, sink, connection):
        self.sink = sink
        self.socket = connection
        self.file = connection.makefile("rb")
        self.rcpts = []
        self.commands = []
        self.mail = None

    def say(self, text):
        self.socket.sendall(text if isinstance(text, bytes) else text.encode("latin-1"))

    def content(self):
        """Up to the final dot, as it came; None when the client is gone."""
        lines = []
        while (line := self.file.readline()) != b".\r\n":
            if not line.endswith(b"\n"):
                return None
            lines.append(line)
        return b"".join(lines)

    def run(self):
        self.say("220 sink.example ESMTP\r\n")
        while line := self.file.readline():
            command = line.decode("latin-1").rstrip("\r\n")
            self.commands.append(command)
            self.sink.commands.append(command)
            word = command.split(" ")[0].upper()
            if word == "QUIT":
                self.say("221 2.0.0 Bye\r\n")
                return
            self.answer(word, command)

    def answer(self, word, command):
        if word in ("EHLO", "LHLO"):
            self.say("".join(f"250-{k}\r\n" for k in ["sink.example", *self.sink.keywords]) + "250 HELP\r\n")
        elif word == "MAIL":
            self.mail, self.rcpts = command, []
            self.say("250 2.1.0 Ok\r\n")
        elif word == "RCPT":
            self.rcpts.append(command)
            self.say("250 2.1.5 Ok\r\n")
        elif word == "DATA" and not self.rcpts:
            self.say("554 5.5.1 no valid recipients\r\n")
        elif word == "DATA":
            self.say("354 go on\r\n")
            content = self.content()
            if content is None:
                raise ConnectionError
            self.sink.messages.append((self.mail, self.rcpts, content))
            for _ in self.rcpts if self.sink.lmtp else [0]:
                self.say(f"250 2.0.0 Ok: queued as {len(self.sink.messages)}\r\n")
        else:
            self.say("250 2.0.0 Ok\r\n")


class Sink:
    """messages: (MAIL command, RCPT commands, content) of each; commands: all, in order; connections: how many."""

    def __init__(self, port=0, family=socket.AF_INET, address=None, lmtp=False, session=Session,
                 keywords=("PIPELINING", "SIZE 10000000", "8BITMIME", "ENHANCEDSTATUSCODES")):
        self.messages, self.commands, self.connections = [], [], 0
        self.keywords, self.lmtp, self.session = keywords, lmtp, session
        self.open = set()
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if family != socket.AF_UNIX:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(address or ("127.0.0.1", port))
        self.socket.listen(100)
        self.port = 0 if family == socket.AF_UNIX else self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                self.connections += 1
                if connection.family != socket.AF_UNIX:
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        self.open.add(connection)
        session = self.session(self, connection)
        with contextlib.suppress(OSError), connection, session.file:
            session.run()
        self.open.discard(connection)

    def close(self):
        """Also the sessions."""
        self.socket.close()
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
