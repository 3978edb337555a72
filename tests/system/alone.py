# SPDX-License-Identifier: ISC
"""One service without its suite: the test is its master and its clients. For services whose clients
are programs, which would ask them only in a roundabout way."""

import array
import contextlib
import os
import socket
import struct
import subprocess
import threading
import time

from conftest import BIN, PATIENCE

ROLE_SMTPD, ROLE_QMGR, ROLE_AGENT = 2, 5, 7
READY, ACCEPT, DNS, DIAL = 25, 29, 35, 37
LAST, FROM_OPENER, FIRST, HAS_FD = 1, 2, 4, 8


def message(*members):
    """(tag, value): numbers and texts."""
    out = b""
    for tag, value in members:
        if isinstance(value, int):
            value = struct.pack("<Q", value)
        out += struct.pack("<HI", tag, len(value)) + value
    return out


def members(data):
    found = {}
    while data:
        tag, length = struct.unpack_from("<HI", data)
        found[tag] = data[6:6 + length]
        data = data[6 + length:]
    return found


def number(value):
    return struct.unpack("<Q", value)[0] if value else 0


def numbers(value):
    return list(struct.unpack(f"<{len(value) // 8}Q", value))


def texts(value):
    out = []
    value = value[4:]
    while value:
        (length,) = struct.unpack_from("<I", value)
        out.append(value[4:4 + length].decode("latin-1"))
        value = value[4 + length:]
    return out


class Channel:
    """One end, ours; requests are numbered from 1."""

    def __init__(self, s):
        self.socket = s
        self.socket.settimeout(PATIENCE)
        self.count = 0
        self.data = b""
        self.fds = []

    def open(self, kind, body, fd=None):
        self.count += 1
        flags = LAST | FROM_OPENER | FIRST | (HAS_FD if fd is not None else 0)
        frame = struct.pack("<IHHI", 12 + len(body), kind, flags, self.count) + body
        ancillary = [] if fd is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
        self.socket.sendmsg([frame], ancillary)
        return self.count

    def receive(self):
        """kind, flags, request, members, descriptor or None; None at the end."""
        while len(self.data) < 12 or len(self.data) < struct.unpack_from("<I", self.data)[0]:
            more, fds, _, _ = socket.recv_fds(self.socket, 65536, 8)
            self.fds += fds
            if not more:
                return None
            self.data += more
        length, kind, flags, request = struct.unpack_from("<IHHI", self.data)
        body, self.data = self.data[12:length], self.data[length:]
        return kind, flags, request, body, self.fds.pop(0) if flags & HAS_FD else None

    def answers(self, wanted):
        """Of these requests, by their number."""
        found = {}
        while set(wanted) - set(found):
            frame = self.receive()
            if frame is None:
                raise EOFError("the service closed the channel")
            kind, flags, request, body, fd = frame
            if kind and not flags & FROM_OPENER:
                found[request] = (members(body), fd)
        return found

    def ask(self, kind, body):
        request = self.open(kind, body)
        return self.answers([request])[request]

    def close(self):
        self.socket.close()


class Alone:
    def __init__(self, instance, program, may_fail=False):
        queue = instance.dir / "queue"
        if not (queue / "empty").exists():
            instance.start()  # a real master makes the directories
        log, log_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        ours, theirs = socket.socketpair()
        queue_fd = os.open(queue, os.O_RDONLY | os.O_DIRECTORY)
        self.log = b""
        self.clients = []
        self.log_socket = log
        threading.Thread(target=self.keep_log, daemon=True).start()

        def hand_over():
            high = [os.dup2(fd, 100 + i) for i, fd in enumerate((theirs.fileno(), log_end.fileno(), queue_fd))]
            for place, fd in enumerate(high, 3):
                os.dup2(fd, place)

        self.process = subprocess.Popen(
            [BIN / program, "-c", instance.etc, "-n", program, "-t", "unix", "-i", "1", "-s", "0"],
            stdin=subprocess.DEVNULL, preexec_fn=hand_over, close_fds=False)
        theirs.close()
        log_end.close()
        os.close(queue_fd)
        self.master = Channel(ours)
        frame = self.master.receive()
        assert may_fail or frame and frame[0] == READY, self.log

    def keep_log(self):
        with contextlib.suppress(OSError):
            while data := self.log_socket.recv(65536):
                self.log += data

    def wait_log(self, text):
        end = time.monotonic() + PATIENCE
        while text.encode() not in self.log:
            assert time.monotonic() < end, f"no {text} in {self.log}"
            time.sleep(0.02)

    def connect(self, role=ROLE_AGENT):
        ours, theirs = socket.socketpair()
        self.master.open(ACCEPT, message((1, role), (2, b"test")), theirs.fileno())
        theirs.close()
        self.clients.append(Channel(ours))
        return self.clients[-1]

    def end(self):
        """Without master it ends."""
        for channel in self.clients:
            channel.close()
        self.master.close()
        self.process.wait(PATIENCE)
        self.log_socket.shutdown(socket.SHUT_RDWR)
        self.log_socket.close()


@contextlib.contextmanager
def alone(*arguments, **kwargs):
    service = Alone(*arguments, **kwargs)
    try:
        yield service
    finally:
        print(service.log.decode(errors="replace"))
        service.end()
