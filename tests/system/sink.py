# SPDX-License-Identifier: ISC
"""A well-behaved SMTP server in the test's own process, with a ledger of what it took."""

import re
import socketserver
import threading
import time


class Taken:
    """One message that was answered 250."""

    def __init__(self, sender, recipients, content):
        self.sender, self.recipients, self.content = sender, recipients, content
        self.when = time.monotonic()

    def header(self, name):
        found = re.search(rb"(?mi)^" + name.encode() + rb": *(.*?)\r?$", self.content)
        return found.group(1).decode("latin-1") if found else None

    @property
    def queue_id(self):
        """The id by which the last server before us knew it."""
        return re.search(rb"\sid (\w+)", self.content).group(1).decode()


class Handler(socketserver.StreamRequestHandler):
    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def read_content(self):
        lines = []
        for line in self.rfile:
            if line == b".\r\n":
                return b"".join(lines)
            lines.append(line[1:] if line.startswith(b".") else line)
        return None

    def handle(self):
        sink, sender, recipients = self.server.sink, None, []
        with sink.lock:
            sink.connections += 1
        self.say("220 sink.example ESMTP")
        for line in self.rfile:
            command = line.decode("latin-1").rstrip()
            verb = command[:4].upper()
            if verb in ("EHLO", "LHLO"):
                self.say("250-sink.example\r\n250-PIPELINING\r\n250-SIZE 100000000\r\n250-ENHANCEDSTATUSCODES\r\n"
                         "250-DSN\r\n250 8BITMIME")
            elif verb == "MAIL":
                sender, recipients = command[10:], []
                self.say("250 2.1.0 Ok")
            elif verb == "RCPT":
                recipients.append(command[8:])
                self.say("250 2.1.5 Ok")
            elif verb == "DATA":
                self.say("354 go on")
                content = self.read_content()
                if content is None:
                    return
                sink.take(Taken(sender, recipients, content))
                self.say("250 2.0.0 Ok")
            elif verb == "QUIT":
                self.say("221 2.0.0 Bye")
                return
            else:
                self.say("250 2.0.0 Ok")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 100

    def handle_error(self, request, client_address):
        pass  # a client that was killed


class Sink:
    def __init__(self, port=0, address="127.0.0.1"):
        self.lock, self.taken, self.connections = threading.Lock(), [], 0
        self.server = Server((address, port), Handler)
        self.server.sink = self
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def take(self, message):
        with self.lock:
            self.taken.append(message)

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
