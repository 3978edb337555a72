# SPDX-License-Identifier: ISC
"""The dialer connects to what the configuration names, to nothing else, and waits for nobody for long."""

import contextlib
import errno
import os
import pwd
import socket
import stat
import subprocess
import sys
import threading

from alone import DIAL, ROLE_SMTPD, alone, message, number
from conftest import needs_root, run


def dial(channel, path):
    found, fd = channel.ask(DIAL, message((1, os.fsencode(path))))
    return number(found.get(1)), found.get(2, b"").decode(), fd


@contextlib.contextmanager
def listener(path, backlog=5):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))
        path.chmod(0o666)
        s.listen(backlog)
        s.settimeout(30)
        yield s


def says(fd, s):
    """What the listener says comes out of the descriptor."""
    accepted, _ = s.accept()
    with accepted, socket.socket(fileno=fd) as connection:
        accepted.sendall(b"hello")
        connection.setblocking(True)
        return connection.recv(5) == b"hello"


def test_what_the_configuration_names_is_connected_to_and_nothing_else(make_instance):
    instance = make_instance()
    instance.configure(virtual_transport="lmtp:unix:private/lmtp", my_socket="unix:$queue_directory/public/other",
                       dialer_endpoints=f"unix:{instance.dir}/listed, unix:private/gone")
    with open(instance.etc / "master.cf", "a") as file:
        file.write("policy unix - n n - 0 spawn\n  -o smtpd_x=unix:private/policy { inet unix:private/argument }\n")
    instance.start()
    queue = instance.dir / "queue"
    named = {"private/lmtp": queue / "private/lmtp", "public/other": queue / "public/other",
             str(queue / "private/lmtp"): queue / "private/lmtp", "private/policy": queue / "private/policy",
             "private/argument": queue / "private/argument", str(instance.dir / "listed"): instance.dir / "listed"}
    refused = ["private/master", "private/secret", str(instance.dir / "other"), "private/../private/lmtp",
               "private/lmtp/", "/", ".", "public/showq"]
    with alone(instance, "dialer") as dialer, contextlib.ExitStack() as stack:
        channel = dialer.connect()
        listening = {path: stack.enter_context(listener(path)) for path in {*named.values(), queue / "private/secret"}}
        for path, place in named.items():
            error, why, fd = dial(channel, path)
            assert (error, why) == (0, ""), path
            assert says(fd, listening[place])
        for path in refused:
            error, why, fd = dial(channel, path)
            assert (error, fd) == (errno.EACCES, None) and f"add unix:{path} to dialer_endpoints" in why
        error, why, fd = dial(channel, "private/gone")
        assert (error, fd) == (errno.ENOENT, None) and "No such file" in why
        (queue / "private/gone").write_text("")
        (queue / "private/gone").chmod(0o666)
        assert dial(channel, "private/gone")[0] == errno.ECONNREFUSED
        stranger = dialer.connect(ROLE_SMTPD)
        stranger.open(DIAL, message((1, b"private/lmtp")))
        assert stranger.receive() is None


def test_a_full_socket_is_waited_for_and_others_go_on(make_instance):
    instance = make_instance(dialer_endpoints="unix:public/full, unix:public/free").start()
    with alone(instance, "dialer") as dialer, listener(instance.dir / "queue/public/full", 0) as full, listener(
            instance.dir / "queue/public/free") as free:
        channel = dialer.connect()
        assert dial(channel, "public/full")[0] == 0
        waiting = [channel.open(DIAL, message((1, b"public/full"))) for _ in range(2)]
        error, _, fd = dial(channel, "public/free")
        assert error == 0 and says(fd, free)
        acceptor = threading.Thread(target=lambda: [full.accept() for _ in range(3)])
        acceptor.start()
        answers = channel.answers(waiting)
        acceptor.join()
        assert all(number(found.get(1)) == 0 and fd is not None for found, fd in answers.values())


@needs_root
def test_mail_owner_passes_through_private_but_cannot_speak_to_master(instance):
    private = instance.dir / "queue/private"
    owner = pwd.getpwnam(run("postconf", "-c", instance.etc, "-h", "mail_owner").stdout.strip())
    about = private.stat()
    assert (about.st_uid, about.st_gid, stat.S_IMODE(about.st_mode)) == (0, owner.pw_gid, 0o710)
    script = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", script, private / "master"], capture_output=True, text=True,
                          user=owner.pw_uid, group=owner.pw_gid, extra_groups=[])
    assert "PermissionError" in done.stderr
    assert stat.S_IMODE((private / "master").stat().st_mode) == 0o600
    stranger = pwd.getpwnam("nobody")
    done = subprocess.run([sys.executable, "-c", "import os, sys; os.stat(sys.argv[1])", private / "master"],
                          capture_output=True, text=True, user=stranger.pw_uid, group=stranger.pw_gid, extra_groups=[])
    assert "PermissionError" in done.stderr
