# SPDX-License-Identifier: ISC
"""Servers that do what they should not: for each, what becomes of the message. All of them at once."""

import contextlib
import dataclasses
import re
import socket
import struct
import threading
import time

from conftest import run
from sink import Session, Sink

CLOSE, RESET, STALL, HANG = "close", "reset", "stall", "hang"
LARGE = "Subject: large\r\n\r\n" + ("x" * 998 + "\r\n") * 8000
P = r"127\.0\.0\.1\[127\.0\.0\.1\]"


@dataclasses.dataclass
class Slowly:
    """Byte by byte."""
    text: bytes
    pause: float


@dataclasses.dataclass
class Endless:
    text: bytes


class Script(Session):
    """Does at each stage what its row says, or else what is right."""

    right = {"GREETING": "220 peer.example ESMTP\r\n", "EHLO": "250-peer.example\r\n250 PIPELINING\r\n",
             "HELO": "250 peer.example\r\n", "LHLO": "250-peer.example\r\n250 PIPELINING\r\n",
             "MAIL": "250 2.1.0 Ok\r\n", "RCPT": "250 2.1.5 Ok\r\n", "DATA": "354 go on\r\n",
             "DOT": "250 2.0.0 Ok: queued as X\r\n", "RSET": "250 2.0.0 Ok\r\n", "QUIT": "221 2.0.0 Bye\r\n"}

    def act(self, stage, text=None):
        steps = self.sink.row.stages.get(stage, self.right.get(stage) if text is None else text)
        for step in steps if isinstance(steps, tuple) else (steps,):
            self.step(step)

    def step(self, step):
        if step in (CLOSE, RESET):
            if step == RESET:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise ConnectionError
        if step == STALL:
            while self.socket.recv(65536):
                pass
            raise ConnectionError
        if step == HANG:  # reads nothing either
            self.sink.row.over.wait(60)
            raise ConnectionError
        if isinstance(step, Slowly):
            for byte in step.text:
                self.say(bytes([byte]))
                time.sleep(step.pause)
        elif isinstance(step, Endless):
            while True:
                self.say(step.text)
        else:
            self.say(step)

    def run(self):
        self.act("GREETING")
        while line := self.file.readline():
            word = line.decode("latin-1").rstrip("\r\n").split(" ")[0].upper()
            self.sink.commands.append(word)
            self.rcpts = [] if word == "MAIL" else self.rcpts + ["x"] * (word == "RCPT")
            self.act(word)
            if word == "DATA" and self.sink.row.takes_content:
                self.take_content()
            if word == "QUIT":
                return

    def take_content(self):
        content = self.content()
        if content is None:
            return
        self.sink.messages.append(content)
        for n in range(len(self.rcpts) if self.sink.lmtp else 1):
            self.act(f"DOT{n}" if f"DOT{n}" in self.sink.row.stages else "DOT")


@dataclasses.dataclass
class Row:
    name: str
    status: str  # sent, deferred, bounced
    dsn: str
    text: str  # how the log's text matches
    stages: dict
    got: int = 0  # how many messages with their final dot the peer has
    lmtp: bool = False
    body: str = "Subject: x\r\n\r\nbody\r\n"
    rcpts: int = 1
    others: list = dataclasses.field(default_factory=list)  # statuses of the recipients behind the first
    over: object = None

    @property
    def takes_content(self):
        data = self.stages.get("DATA", Script.right["DATA"])
        return "354" in str(data) and not {CLOSE, RESET, HANG} & set(data if isinstance(data, tuple) else ())


def row(name, status, dsn, text, got=None, **stages):
    options = {k: stages.pop(k) for k in ("lmtp", "body", "rcpts", "others") if k in stages}
    return Row(name, status, dsn, text, stages, got=(status == "sent") if got is None else got, **options)


def lost(doing):
    return rf"lost connection with {P} while {doing}$"


def slow(doing):
    return rf"conversation with {P} timed out while {doing}$"


def said(reply, command):
    return rf"host {P} said: {reply} \(in reply to {command} command\)$"


def refused(reply):
    return rf"host {P} refused to talk to me: {reply}$"


def broken(doing):
    return rf"protocol error with {P} while {doing}: got \".*"


OK = r"250 2.0.0 Ok: queued as X$"
GREETING, EHLO = "receiving the initial server greeting", "performing the EHLO handshake"
MAIL, RCPT, DATA, BODY = "sending MAIL FROM", "sending RCPT TO", "sending DATA command", "sending message body"
DOT = "sending end of data -- message may be sent more than once"

ROWS = [
    row("a-good-one", "sent", "2.0.0", OK),
    # The greeting.
    row("greeting-close", "deferred", "4.4.2", lost(GREETING), GREETING=CLOSE),
    row("greeting-reset", "deferred", "4.4.[12]", rf"connect to {P}:\d+: Connection reset|{lost(GREETING)}",
        GREETING=RESET),
    row("greeting-stall", "deferred", "4.4.2", slow(GREETING), GREETING=STALL),
    row("greeting-half", "deferred", "4.4.2", lost(GREETING), GREETING=("220 peer.exa", CLOSE)),
    row("greeting-421", "deferred", "4.3.2", refused("421 4.3.2 busy"), GREETING=("421 4.3.2 busy\r\n", CLOSE)),
    row("greeting-450-stays", "deferred", "4.0.0", refused("450 busy"), GREETING="450 busy\r\n"),
    row("greeting-554", "deferred", "4.0.0", refused("554 5.7.1 go away"), GREETING=("554 5.7.1 go away\r\n", CLOSE)),
    row("greeting-354", "deferred", "4.0.0", refused("354 go on"), GREETING="354 go on\r\n"),
    row("greeting-no-code", "deferred", "4.5.0", broken(GREETING), GREETING="SSH-2.0-OpenSSH_9.9\r\n"),
    row("greeting-empty-line", "deferred", "4.5.0", broken(GREETING), GREETING="\r\n"),
    row("greeting-lines", "sent", "2.0.0", OK, GREETING="220-one\r\n220-two\r\n220 three\r\n"),
    row("greeting-endless-lines", "deferred", "4.5.0", broken(GREETING), GREETING=Endless(b"220-and so on\r\n" * 99)),
    row("greeting-endless-line", "deferred", "4.5.0", broken(GREETING), GREETING=Endless(b"220 and so on " * 99)),
    row("greeting-no-text", "sent", "2.0.0", OK, GREETING="220\r\n"),
    row("greeting-line-feeds", "sent", "2.0.0", OK, GREETING="220-a\n220 b\n"),
    row("greeting-eight-bit", "sent", "2.0.0", OK, GREETING=b"220 \xff\x00\x1b[31m\xc3\xbc ESMTP\r\n"),
    row("greeting-slowly", "sent", "2.0.0", OK, GREETING=Slowly(b"220 peer.example ESMTP\r\n", 0.01)),
    row("greeting-too-slowly", "deferred", "4.4.2", slow(GREETING), GREETING=Slowly(b"220 x" * 20, 0.1)),
    row("greeting-and-an-answer", "deferred", "4.5.0", broken(EHLO), GREETING="220 hello\r\n250 PIPELINING\r\n"),
    # EHLO and HELO.
    row("ehlo-unknown", "sent", "2.0.0", OK, EHLO="500 5.5.1 what?\r\n"),
    row("ehlo-and-helo-unknown", "bounced", "5.5.1", refused("502 5.5.1 no"), EHLO="502 no\r\n", HELO="502 5.5.1 no\r\n"),
    row("ehlo-450", "deferred", "4.0.0", refused("450 later"), EHLO="450 later\r\n"),
    row("ehlo-421", "deferred", "4.7.0", refused("421 4.7.0 later"), EHLO=("421 4.7.0 later\r\n", CLOSE)),
    row("ehlo-close", "deferred", "4.4.2", lost(EHLO), EHLO=CLOSE),
    row("ehlo-stall", "deferred", "4.4.2", slow(EHLO), EHLO=("250-peer.example\r\n", STALL)),
    row("ehlo-mixed", "sent", "2.0.0", OK, EHLO="250-peer.example\r\n250-PIPELINING\r\n550 no\r\n"),
    row("ehlo-many-lines", "deferred", "4.5.0", broken(EHLO), EHLO="250-X\r\n" * 600 + "250 X\r\n"),
    row("ehlo-long-line", "sent", "2.0.0", OK, EHLO=f"250-peer.example\r\n250-{'X' * 9000}\r\n250 PIPELINING\r\n"),
    row("ehlo-huge-line", "deferred", "4.5.0", broken(EHLO), EHLO=f"250 {'X' * 90000}\r\n"),
    row("ehlo-bad-size", "sent", "2.0.0", OK, EHLO="250-peer.example\r\n250-SIZE -1\r\n250 SIZE many\r\n"),
    row("ehlo-no-size", "sent", "2.0.0", OK, EHLO="250-peer.example\r\n250-SIZE 0\r\n250 PIPELINING\r\n"),
    row("ehlo-small-size", "bounced", "5.3.4", rf"message size \d+ exceeds size limit 100 of server {P}$",
        EHLO="250-peer.example\r\n250 SIZE 100\r\n"),
    row("ehlo-two-answers", "deferred", "4.5.0", broken(MAIL), EHLO="250 peer.example\r\n250 2.1.0 Ok\r\n"),
    # MAIL.
    row("mail-451", "deferred", "4.7.1", said("451 4.7.1 greylisted", "MAIL FROM"), MAIL="451 4.7.1 greylisted\r\n",
        RCPT="503 5.5.1 no\r\n", DATA="503 5.5.1 no\r\n"),
    row("mail-550", "bounced", "5.7.1", said("550 5.7.1 no", "MAIL FROM"), MAIL="550 5.7.1 no\r\n",
        RCPT="503 5.5.1 no\r\n", DATA="503 5.5.1 no\r\n"),
    row("mail-421", "deferred", "4.0.0", said("421 bye", "MAIL FROM"), MAIL=("421 bye\r\n", CLOSE)),
    row("mail-close", "deferred", "4.4.2", lost(MAIL), MAIL=CLOSE),
    row("mail-stall", "deferred", "4.4.2", slow(MAIL), MAIL=STALL),
    row("mail-refused-recipient-taken", "bounced", "5.0.0", said("550 no", "MAIL FROM"), MAIL="550 no\r\n"),
    row("mail-no-text", "sent", "2.0.0", OK, MAIL="250\r\n"),
    # RCPT.
    row("rcpt-450", "deferred", "4.2.1", said("450 4.2.1 busy", "RCPT TO"), RCPT="450 4.2.1 busy\r\n", DATA="554 no\r\n"),
    row("rcpt-550", "bounced", "5.1.1", said("550-5.1.1 who 550 5.1.1 ever", "RCPT TO"),
        RCPT="550-5.1.1 who\r\n550 5.1.1 ever\r\n", DATA="554 no\r\n"),
    row("rcpt-550-then-354", "bounced", "5.0.0", said("550 no", "RCPT TO"), got=1, RCPT="550 no\r\n"),
    row("rcpt-other-class", "bounced", "5.0.0", said("550 4.1.1 no", "RCPT TO"), RCPT="550 4.1.1 no\r\n", DATA="554 no\r\n"),
    row("rcpt-bad-status", "bounced", "5.0.0", said("550 5.1234.1 no", "RCPT TO"), RCPT="550 5.1234.1 no\r\n",
        DATA="554 no\r\n"),
    row("rcpt-421", "deferred", "4.0.0", said("421 bye", "RCPT TO"), RCPT=("421 bye\r\n", CLOSE)),
    row("rcpt-close", "deferred", "4.4.2", lost(RCPT), RCPT=CLOSE),
    row("rcpt-stall", "deferred", "4.4.2", slow(RCPT), RCPT=STALL),
    row("rcpt-251", "sent", "2.0.0", OK, RCPT="251 elsewhere\r\n"),
    row("rcpt-four-digits", "deferred", "4.5.0", broken(RCPT), RCPT="2500 Ok\r\n"),
    row("rcpt-six-hundred", "deferred", "4.5.0", broken(RCPT), RCPT="650 Ok\r\n"),
    row("rcpt-324", "deferred", "4.0.0", said("324 hm", "RCPT TO"), RCPT="324 hm\r\n", DATA="554 no\r\n"),
    # DATA.
    row("data-451", "deferred", "4.3.0", said("451 4.3.0 disk", "DATA"), DATA="451 4.3.0 disk\r\n"),
    row("data-554", "bounced", "5.0.0", said("554 no", "DATA"), DATA="554 no\r\n"),
    row("data-421", "deferred", "4.0.0", said("421 bye", "DATA"), DATA=("421 bye\r\n", CLOSE)),
    row("data-250", "deferred", "4.0.0", said("250 Ok", "DATA"), DATA="250 Ok\r\n"),
    row("data-close", "deferred", "4.4.2", lost(DATA), DATA=CLOSE),
    row("data-stall", "deferred", "4.4.2", slow(DATA), DATA=STALL),
    row("data-no-text", "sent", "2.0.0", OK, DATA="354\r\n"),
    # The content.
    row("content-close", "deferred", "4.4.2", lost(BODY), DATA=("354 go on\r\n", RESET), body=LARGE),
    row("content-hang", "deferred", "4.4.2", slow(BODY), DATA=("354 go on\r\n", HANG), body=LARGE),
    # What it said counts if we got as far as to look for it.
    row("content-refused-early", "deferred|bounced", "4.4.2|5.0.0",
        f"{lost(BODY)}|{said('552 too much', 'end of DATA')}", DATA=("354 go on\r\n552 too much\r\n", RESET), body=LARGE),
    row("content-small-close", "deferred", "4.4.2", f"{lost(DOT)}|{lost(BODY)}", DATA=("354 go on\r\n", CLOSE)),
    # The answer to the final dot.
    row("dot-450", "deferred", "4.2.0", said("450 4.2.0 no", "end of DATA"), got=1, DOT="450 4.2.0 no\r\n"),
    row("dot-552", "bounced", "5.2.2", said("552 5.2.2 full", "end of DATA"), got=1, DOT="552 5.2.2 full\r\n"),
    row("dot-421", "deferred", "4.3.2", said("421 4.3.2 bye", "end of DATA"), got=1, DOT=("421 4.3.2 bye\r\n", CLOSE)),
    row("dot-close", "deferred", "4.4.2", lost(DOT), got=1, DOT=CLOSE),
    row("dot-half", "deferred", "4.4.2", lost(DOT), got=1, DOT=("250 2.0.0 O", CLOSE)),
    row("dot-continued-close", "deferred", "4.4.2", lost(DOT), got=1, DOT=("250-2.0.0 Ok\r\n", CLOSE)),
    row("dot-stall", "deferred", "4.4.2", slow(DOT), got=1, DOT=STALL),
    row("dot-garbage", "deferred", "4.5.0", broken(DOT), got=1, DOT="Ok\r\n"),
    row("dot-354", "deferred", "4.5.0", rf'protocol error with {P} while {DOT}: got "354 more"$', got=1, DOT="354 more\r\n"),
    row("dot-no-text", "sent", "2.0.0", "250$", DOT="250\r\n"),
    row("dot-lines", "sent", "2.6.0", "250-2.6.0 one 250 2.6.0 two$", DOT="250-2.6.0 one\r\n250 2.6.0 two\r\n"),
    row("dot-other-class", "sent", "2.0.0", "250 5.0.0 Ok$", DOT="250 5.0.0 Ok\r\n"),
    row("dot-slowly", "sent", "2.0.0", OK, DOT=Slowly(b"250 2.0.0 Ok: queued as X\r\n", 0.01)),
    row("dot-parentheses", "sent", "2.0.0", r"250 2.0.0 \(a\) \?\[1m", DOT="250 2.0.0 (a) \x1b[1m\r\n"),
    row("dot-then-close", "sent", "2.0.0", OK, DOT=("250 2.0.0 Ok: queued as X\r\n", CLOSE)),
    row("quit-stall", "sent", "2.0.0", OK, QUIT=STALL),
    # All answers to a group at once, or each in pieces.
    row("answers-together", "sent", "2.0.0", OK, MAIL=b"", RCPT=b"", DATA="250 Ok\r\n250 Ok\r\n354 go on\r\n"),
    row("answers-in-pieces", "sent", "2.0.0", OK, MAIL=Slowly(b"250 Ok\r\n", 0.01), RCPT=Slowly(b"250-a\r\n250 b\r\n", 0.01),
        DATA=Slowly(b"354 go\r\n", 0.01)),
    # LMTP.
    row("lmtp", "sent", "2.0.0", OK, lmtp=True, rcpts=2, others=["sent"]),
    row("lmtp-one-answer", "sent", "2.0.0", OK, lmtp=True, rcpts=2, others=["deferred"],
        DOT1=CLOSE),
    row("lmtp-first-full", "deferred", "4.2.2", said("452 4.2.2 full", "end of DATA"), got=1, lmtp=True, rcpts=2,
        others=["sent"], DOT0="452 4.2.2 full\r\n"),
    row("lmtp-never", "bounced", "5.2.2", said("552 5.2.2 full", "end of DATA"), got=1, lmtp=True, rcpts=3,
        others=["sent", "deferred"], DOT0="552 5.2.2 full\r\n", DOT2="421 4.3.2 bye\r\n"),
    row("lmtp-no-lhlo", "bounced", "5.5.1", refused("500 5.5.1 what"), lmtp=True, LHLO="500 5.5.1 what\r\n"),
    row("lmtp-lhlo-close", "deferred", "4.4.2", lost("performing the LHLO handshake"), lmtp=True, LHLO=CLOSE),
]


def settings():
    times = ("helo", "mail", "rcpt", "data_init", "data_xfer", "data_done")
    values = {f"smtp_{name}_timeout": "1s" for name in times}
    values |= {f"lmtp_{name}_timeout": "1s" for name in (*times[1:], "lhlo")}
    return values


def check(instance, r, sink, queue_id):
    lines = instance.wait_log(rf"{queue_id}: to=<0@{r.name}\.", 1)
    outcome = re.search(r"dsn=(\S+), status=(\w+) \((.*)\)$", lines[0])
    problems = []
    if outcome is None or not re.fullmatch(r.dsn, outcome[1]) or not re.fullmatch(r.status, outcome[2]) or not re.match(r.text, outcome[3]):
        problems.append(f"{r.status} {r.dsn} {r.text} was expected: {lines[0]}")
    for i, status in enumerate(r.others, 1):
        instance.wait_log(rf"{queue_id}: to=<{i}@{r.name}\..*status={status} ")
    if len(lines) != 1 or len(sink.messages) != r.got:
        problems.append(f"{len(lines)} attempts, {len(sink.messages)} messages, not {r.got}")
    return [f"{r.name}: {p}" for p in problems]


def test_misbehaving_peers(make_instance):
    assert len({r.name for r in ROWS}) == len(ROWS) >= 40
    over = threading.Event()
    with contextlib.ExitStack() as stack:
        sinks = {}
        for r in ROWS:
            sinks[r.name] = sink = stack.enter_context(Sink(session=Script, lmtp=r.lmtp))
            sink.row, r.over = r, over
        routes = " ".join(f"{{{r.name}.example = {'lmtp:inet:127.0.0.1' if r.lmtp else 'smtp:[127.0.0.1]'}"
                          f":{sinks[r.name].port}}}" for r in ROWS)
        instance = make_instance(transport_maps=f"inline:{{ {routes} }}", **settings()).start()
        ids = {r.name: instance.send(r.body, to=[f"{i}@{r.name}.example" for i in range(r.rcpts)]) for r in ROWS}
        try:
            problems = [p for r in ROWS for p in check(instance, r, sinks[r.name], ids[r.name])]
        finally:
            over.set()
        assert not problems, "\n".join(problems)
        # What is over is gone; what may still arrive is kept.
        all_sent = [ids[r.name] for r in ROWS if {r.status, *r.others} == {"sent"}]
        instance.wait_log("removed", len(all_sent))
        queue = run("postqueue", "-c", instance.etc, "-p").stdout
        assert [r.name for r in ROWS if ids[r.name] in queue and ids[r.name] in all_sent] == []
        assert [r.name for r in ROWS if "deferred" in {r.status, *r.others} and ids[r.name] not in queue] == []
        assert not [line for line in instance.lines() if re.search("panic|killed by|error:", line)]
