# SPDX-License-Identifier: ISC
"""Private instances for system tests: each below a directory of its own, on a free port, ended with
its test. Nothing here sleeps for a fixed time: a test waits for a log line or a state."""

import contextlib
import mailbox
import os
import pathlib
import pwd
import random
import re
import shutil
import smtplib
import socket
import subprocess
import sys
import tempfile
import time

import pytest

sys.path.append(str(pathlib.Path(__file__).parents[2] / "bench"))
from peer import Peer  # noqa: E402

BIN = pathlib.Path(os.environ["BUILD_DIRECTORY"]) / "bin"
PATIENCE = 60
USER = pwd.getpwuid(os.geteuid()).pw_name


def free_port():
    """Below the ports that the kernel gives to clients, of which some other test always has one."""
    while True:
        port = random.randrange(10240, 32768)
        with contextlib.suppress(OSError), socket.socket() as s:
            s.bind(("127.0.0.1", port))
            return port


def run(program, *arguments, check=True, **kwargs):
    done = subprocess.run([str(BIN / program), *map(str, arguments)], capture_output=True, text=True,
                          timeout=PATIENCE, **kwargs)
    if check and done.returncode != 0:
        raise AssertionError(f"{program} {arguments}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def wait_until(what, predicate, patience=PATIENCE):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        result = predicate()
        if result:
            return result
        time.sleep(0.02)
    raise AssertionError(f"waited {patience} s for {what}")


class Instance:
    def __init__(self, directory, **settings):
        self.dir = pathlib.Path(directory)
        self.port = free_port()
        run("gatepost", "init", self.dir, "--port", self.port)
        self.etc = self.dir / "etc"
        self.log = self.dir / "log" / "maillog"
        # Nobody's name server: a test's mail for other hosts waits in its queue, and never leaves the machine.
        self.configure(**{"resolver_servers": "127.0.0.1@9", "resolver_timeout": "1s", **settings})

    def configure(self, **settings):
        run("postconf", "-c", self.etc, "-e", *[f"{k} = {v}" for k, v in settings.items()])

    def gatepost(self, *arguments, check=True):
        return run("gatepost", "-c", self.etc, *arguments, check=check)

    def start(self):
        self.gatepost("start")
        return self

    def stop(self):
        return self.gatepost("stop", check=False)

    def lines(self):
        return self.log.read_text(errors="replace").splitlines() if self.log.exists() else []

    def wait_log(self, pattern, count=1, patience=PATIENCE):
        expression = re.compile(pattern)

        def found():
            hits = [line for line in self.lines() if expression.search(line)]
            return hits if len(hits) >= count else None

        try:
            return wait_until(f"log line {pattern}", found, patience)
        except AssertionError as error:
            raise AssertionError(f"{error}\n" + "\n".join(self.lines()[-40:])) from None

    def smtp(self, **kwargs):
        return smtplib.SMTP("127.0.0.1", self.port, timeout=PATIENCE, **kwargs)

    def raw(self):
        return RawClient(self.port)

    def send(self, text="Subject: test\r\n\r\nbody\r\n", sender="sender@example.com", to=None):
        """Sends; returns the queue id."""
        with self.smtp() as client:
            client.ehlo("client.example")
            client.mail(sender)
            for recipient in [to] if isinstance(to, str) else to or [f"{USER}@localhost"]:
                code, reply = client.rcpt(recipient)
                assert code == 250, reply
            code, reply = client.data(text)
            assert code == 250, reply
            return reply.decode().split()[-1]

    def deliver(self, *args, **kwargs):
        queue_id = self.send(*args, **kwargs)
        self.wait_log(f"{queue_id}: removed")
        return queue_id

    def mbox(self, user=USER):
        path = self.dir / "mail" / user
        return mailbox.mbox(path, create=False) if path.exists() else []

    def processes(self):
        """program name, serving pid of each process of the instance, master included."""
        result = []
        out = self.gatepost("status").stdout
        result.append(("master", int(re.search(r"master (\d+)", out).group(1))))
        for line in out.splitlines()[2:]:
            words = line.split()
            if len(words) > 2 and words[2].isdigit():
                result.append((words[0], int(words[2])))
                monitor = re.search(r"\(monitor (\d+)\)", line)
                if monitor:
                    result.append((words[0] + " monitor", int(monitor.group(1))))
        return result


class RawClient:
    """SMTP byte by byte, for what smtplib would not send."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def reply(self):
        """One reply, its lines joined; '' when the server has closed."""
        lines = []
        while True:
            line = self.file.readline().decode("latin-1")
            lines.append(line.rstrip("\r\n"))
            if not line or line[3:4] != "-":
                return "\n".join(lines)

    def ask(self, line):
        self.send(line.encode("latin-1") + b"\r\n")
        return self.reply()

    def hello(self):
        assert self.reply().startswith("220")
        assert self.ask("EHLO client.example").startswith("250")
        return self


@pytest.fixture
def workspace():
    """A directory that other users can reach (services give up root), removed at the end."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="gatepost-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def make_instance(workspace):
    made = []

    def make(name="instance", **settings):
        instance = Instance(workspace / name, **settings)
        made.append(instance)
        return instance

    yield make
    for instance in made:
        # Shown only when the test failed.
        print(f"The log of {instance.dir.name}:", *instance.lines()[-60:], sep="\n")
        with contextlib.suppress(Exception):
            instance.gatepost("abort", check=False)


@pytest.fixture
def instance(make_instance):
    return make_instance().start()


@pytest.fixture(scope="session")
def peer():
    """Debian's Postfix with its smtp-source."""
    try:
        return Peer(BIN.parent)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"Debian's postfix package can't be had: {getattr(error, 'stderr', None) or error}")


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
