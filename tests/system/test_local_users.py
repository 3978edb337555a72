# SPDX-License-Identifier: ISC
"""Whoever may connect to a socket of an instance can end his own connection, and nothing else."""

import array
import contextlib
import os
import random
import signal
import socket
import stat
import struct
import subprocess
import sys

from conftest import needs_root, run


def sockets(instance):
    found = [p for d in ("private", "public") for p in (instance.dir / "queue" / d).iterdir()
             if stat.S_ISSOCK(p.stat().st_mode)]
    assert {"master", "showq"} <= {p.name for p in found}
    return found


def connect(path):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(30)
    here = os.open(path.parent, os.O_PATH)
    try:
        s.connect(f"/proc/self/fd/{here}/{path.name}")
    finally:
        os.close(here)
    return s


def give_descriptors(s, count):
    null = os.open("/dev/null", os.O_RDONLY)
    fds = array.array("i", [null] * count)
    s.sendmsg([b"\0" * 16], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
    os.close(null)


def attacks():
    chance = random.Random(4711)
    yield from (lambda s, n=n: s.sendall(chance.randbytes(n)) for n in (1, 7, 100, 5000, 300000))
    yield lambda s: s.sendall(struct.pack("<IHHI", 0xffffffff, 1, 0, 1))
    yield lambda s: s.sendall(struct.pack("<IHHI", 0, 1, 0, 1) * 100)
    for kind in range(0, 70, 3):
        yield lambda s, kind=kind: s.sendall(struct.pack("<IHHI", 20, kind, 3, 1) + b"\xff" * 8)
    yield from (lambda s, n=n: give_descriptors(s, n) for n in (1, 200))
    yield lambda s: s.shutdown(socket.SHUT_RDWR)


def test_nonsense_ends_only_its_own_connection(instance):
    instance.deliver()
    for option in ("-p", "-f"):
        run("postqueue", "-c", instance.etc, option)
    before = instance.processes()
    held = []
    for path in sockets(instance):
        for attack in attacks():
            s = connect(path)
            held.append(s)
            with contextlib.suppress(OSError):      # closed in the middle: just so
                attack(s)
    instance.deliver()
    assert "empty" in run("postqueue", "-c", instance.etc, "-p").stdout
    assert set(before) <= set(instance.processes())
    for s in held:
        s.close()


def test_idle_clients_leave_room_for_others(instance):
    run("postqueue", "-c", instance.etc, "-p")
    before = instance.processes()
    held = [connect(instance.dir / "queue/public/showq") for _ in range(1000)]
    assert "empty" in run("postqueue", "-c", instance.etc, "-p").stdout
    held += [connect(instance.dir / "queue/private/master") for _ in range(500)]
    assert set(before) <= set(instance.processes())
    for s in held:
        s.close()


@needs_root
def test_lists_that_nobody_reads_hold_up_no_other_user(make_instance):
    """Each of them is more than a socket and a request take."""
    instance = make_instance(transport_maps="inline:{ {later.example = retry:4.3.0 later} }",
                             relay_domains="later.example",
                             smtpd_recipient_limit="5000").start()
    for i in range(4):
        instance.send(to=[f"{'u' * 60}{i}.{n}@later.example" for n in range(2500)])
    instance.wait_log("status=deferred", count=10000)
    code = f"""
import os, socket, sys
os.chdir({str(instance.dir / 'queue/public')!r})
held = []
for _ in range(60):
    held.append(socket.socket(socket.AF_UNIX))
    held[-1].connect("showq")
print("held", flush=True)
sys.stdin.read()
"""
    attacker = subprocess.Popen(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c",
                                 code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert attacker.stdout.readline() == b"held\n"
        for _ in range(2):
            done = run("postqueue", "-c", instance.etc, "-p")
            assert "in 4 Requests" in done.stdout
    finally:
        attacker.communicate()


@needs_root
def test_no_user_takes_all_sessions(make_instance):
    """While the queue manager stands still, each showq client holds a session."""
    instance = make_instance(service_session_limit="40").start()
    run("postqueue", "-c", instance.etc, "-p")
    qmgr = dict(instance.processes())["qmgr"]
    script = ("import select, socket, sys\n"
              "held = [socket.socket(socket.AF_UNIX) for _ in range(39)]\n"
              "for s in held: s.connect(sys.argv[1])\n"
              "refused = 0\n"
              "while refused < 9:\n"
              "    for s in select.select(held, [], [], 20)[0] or sys.exit('nobody was refused'):\n"
              "        assert s.recv(1) == b''\n"
              "        held.remove(s); refused += 1\n"
              "print('refused', flush=True); sys.stdin.read()\n")
    os.kill(qmgr, signal.SIGSTOP)
    try:
        with subprocess.Popen(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable,
                               "-c", script, instance.dir / "queue/public/showq"], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            assert other.stdout.readline() == "refused\n"
            instance.wait_log("user 65534 has 10 connections: more are refused")
            os.kill(qmgr, signal.SIGCONT)
            assert "empty" in run("postqueue", "-c", instance.etc, "-p").stdout
            other.stdin.close()
    finally:
        os.kill(qmgr, signal.SIGCONT)


@needs_root
def test_others_reach_the_public_sockets_only(instance):
    instance.deliver()
    script = ("import socket, sys\n"
              "for path in sys.argv[1:]:\n"
              "    try:\n"
              "        s = socket.socket(socket.AF_UNIX); s.connect(path)\n"
              "        print(path.rsplit('/', 1)[1], 'reached')\n"
              "    except OSError as e: print(path.rsplit('/', 1)[1], type(e).__name__)\n")
    done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable,
                           "-c", script, *map(str, sockets(instance))], capture_output=True, text=True,
                          check=True)
    assert set(done.stdout.splitlines()) == {"master PermissionError", "flush reached", "pickup reached",
                                             "showq reached"}
    for verb in ("status", "stop", "abort", "reload"):
        refused = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                                  os.environ["BUILD_DIRECTORY"] + "/bin/gatepost", "-c", instance.etc, verb],
                                 capture_output=True, text=True)
        assert refused.returncode == 1 and "may not control" in refused.stderr
    instance.deliver()
