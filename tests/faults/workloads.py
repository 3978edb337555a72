# SPDX-License-Identifier: ISC
"""What mail goes through an instance under faults, and where each message has to come out.

A message has a number. It is sent once, by s<number>@client.example, so that the queue's list and each
copy and notice say which one it is. A place where it has to come out is a tuple: ("sink", number, address), ("notice",
number) or ("maildir", number, user)."""

import os
import re
import sys
import threading
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
from sink import Session, Sink  # noqa: E402

SMTP_PORT, SINK_PORT = 2525, 2526  # in a network namespace of its own


def sender(number):
    return f"s{number}@client.example"


def body(number, size):
    """CRLF lines, the last of which tells that nothing was cut off."""
    line = f"{number} " + "x" * 60 + "\r\n"
    return line * (size // len(line)) + f"end of {number}\r\n"


def text(number, size):
    return f"Subject: number {number} of {size}\r\n\r\n" + body(number, size)


def number_of(content):
    """The number of a copy that is whole; None for another."""
    content = content.replace(b"\r\n", b"\n")
    found = re.search(rb"(?m)^Subject: number (\d+) of (\d+)$", content)
    if found is None:
        return None
    number, size = int(found.group(1)), int(found.group(2))
    # mbox and Maildir may end otherwise than with one newline.
    whole = content.partition(b"\n\n")[2].rstrip() == body(number, size).replace("\r\n", "\n").encode().rstrip()
    return number if whole else None


class RefusingSession(Session):
    """Refuses some recipients for good and some for a while, by their addresses."""

    def answer(self, word, command):
        if word == "RCPT":
            address = re.search(r"<(.*?)>", command).group(1)
            if address.startswith("never"):
                return self.say("550 5.1.1 no such user\r\n")
            if address.startswith("later"):
                with self.sink.lock:
                    tries = self.sink.tries[address] = self.sink.tries.get(address, 0) + 1
                if tries <= 2:
                    return self.say("450 4.2.1 not yet\r\n")
        return super().answer(word, command)

    def content(self):
        content = super().content()
        if content is not None:
            self.sink.record(self, content)
        return content


class RecordingSink(Sink):
    """taken: place -> time and queue id of each copy that came there. It survives what happens to the instance."""

    def __init__(self):
        self.lock, self.tries, self.taken, self.damaged = threading.Lock(), {}, {}, []
        super().__init__(port=SINK_PORT, session=RefusingSession)

    def record(self, session, content):
        addresses = [re.search(r"<(.*?)>", r).group(1) for r in session.rcpts]
        with self.lock:
            for address in addresses:
                owner = re.fullmatch(r"s(\d+)@client\.example", address)
                number = int(owner.group(1)) if owner else number_of(content)
                if number is None:
                    self.damaged.append(content[:2000])
                place = ("notice", number) if owner else ("sink", number, address)
                queue_id = re.search(rb"\sid (\w+)", content).group(1).decode()
                self.taken.setdefault(place, []).append((time.monotonic(), queue_id))


class Receive:
    """smtpd to queue: mail waits there for its destination until it is let go; a part is discarded."""

    waits = True
    settings = {"transport_maps": "inline:{ discard.example=discard: }"}

    def size(self, number):
        return 90000 if number % 8 == 3 else 300 + number * 37 % 6000

    def recipients(self, number):
        return [f"d{number}@discard.example"] if number % 4 == 2 else [f"r{number}@sink.example"]

    def places(self, number):
        return [("sink", number, r) for r in self.recipients(number) if "@sink." in r]

    def is_direct(self, place):
        """Whether the message itself comes out there, not one that was made of it."""
        return place[0] != "notice"


class Relay(Receive):
    """smtpd to queue to smtp, with deferrals and bounces."""

    waits = False
    settings = {}

    def recipients(self, number):
        second = {0: "never", 1: "later"}.get(number % 5, "b")
        return [f"a{number}@sink.example", f"{second}{number}@sink.example"]

    def places(self, number):
        return [("notice", number) if r.startswith("never") else ("sink", number, r)
                for r in self.recipients(number)]


class Maildir(Receive):
    """smtpd to queue to local: mailboxes, aliases, forwards."""

    waits = False
    settings = {}
    aliases = "team: root, games\nfar: f@sink.example\n"
    kinds = [("root@localhost", [("maildir", "root")]),
             ("team@localhost", [("maildir", "root"), ("maildir", "games")]),
             ("far@localhost", [("sink", "f@sink.example")]),
             ("games@localhost", [("maildir", "games")])]

    def recipients(self, number):
        return [self.kinds[number % 4][0]]

    def places(self, number):
        return [(kind, number, where) for kind, where in self.kinds[number % 4][1]]

    def is_direct(self, place):
        return place[0] == "maildir" and place[1] % 4 in (0, 3)


class Submission(Receive):
    """sendmail to pickup, and to maildrop/ while the system is stopped."""

    settings = {}
    by_sendmail = True

    def recipients(self, number):
        return [f"r{number}@sink.example"]

    def is_direct(self, place):
        """pickup submits a file of maildrop/ again when it died before it could remove it."""
        return False


WORKLOADS = {"receive": Receive, "relay": Relay, "maildir": Maildir, "submission": Submission}
