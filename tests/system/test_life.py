# SPDX-License-Identifier: ISC
"""Start, stop, reload, and what protects each process."""

import contextlib
import os
import pathlib
import re
import resource
import signal
import threading
import socket
import time

import pytest
from conftest import BIN, USER, RawClient, needs_root, run, wait_until


def proc_status(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def wake_everything(instance):
    """After one delivery and one listing every kind of process runs."""
    instance.deliver()
    run("postqueue", "-c", instance.etc, "-p")


def test_start_status_stop(make_instance):
    instance = make_instance()
    assert "not running" in instance.gatepost("status", check=False).stderr
    instance.start()
    second = instance.gatepost("start", check=False)
    assert second.returncode != 0 and "already running" in second.stderr
    assert "qmgr" in instance.gatepost("status").stdout
    instance.gatepost("stop")
    assert instance.gatepost("status", check=False).returncode == 69
    log = "\n".join(instance.lines())
    assert "daemon started -- version" in log and "terminating on signal 15" in log


def test_every_process_is_locked_in(instance):
    wake_everything(instance)
    found = {}
    for name, pid in instance.processes():
        status = proc_status(pid)
        found[name] = status
        if name == "master" or name.endswith("monitor"):
            continue
        assert status["Seccomp"].strip() == "2", name
        assert status["NoNewPrivs"].strip() == "1", name
        assert os.stat(f"/proc/{pid}/mem").st_uid == 0, f"{name} is dumpable"
    assert {"smtpd", "qmgr", "cleanup", "rewrite", "proxymap", "local", "postlog", "showq"} <= {
        n if not n.startswith("127") else "smtpd" for n in found}


# Files that a service may have open, below the instance; all else are sockets and pipes.
HOLDS = {
    "qmgr": ("queue", "queue/log", "queue/log/[0-9a-z]+", "queue/large"),
    "rewrite": ("etc/aliases.db",),
    "local": ("etc/aliases.db",),
    "postlog": ("log/maillog",),
    "pickup": ("queue/maildrop",),
}


@needs_root
def test_uids_and_roots(instance):
    import pwd
    wake_everything(instance)
    for name, pid in instance.processes():
        status = proc_status(pid)
        uid = int(status["Uid"].split()[1])
        root = os.readlink(f"/proc/{pid}/root")
        if name == "master" or name.endswith("monitor"):
            assert uid == 0
            continue
        owner = "gatepostq" if name in ("qmgr", "showq", "flush") else "gatepost"
        assert uid == pwd.getpwnam(owner).pw_uid, name
        assert status["Groups"].strip() == "", name
        roots = {"qmgr": f"{instance.dir}/queue", "pickup": f"{instance.dir}/queue/maildrop", "proxymap": "/",
                 "dialer": "/"}
        assert root == roots.get(name, f"{instance.dir}/queue/empty"), name
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0, name
        limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
        assert re.search(r"Max core file size +0 +0 ", limits), name
        # Not dumpable: its files in /proc belong to root.
        assert pathlib.Path(f"/proc/{pid}/environ").stat().st_uid == 0, name
        files = set()
        for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
            target = os.readlink(fd)
            if target.startswith("/") and target != "/dev/null":
                files.add(target)
        assert all(any(re.fullmatch(f"{instance.dir}/{what}", f) for what in HOLDS.get(name, ()))
                   for f in files), (name, files)
    for line in instance.gatepost("status").stdout.splitlines()[2:]:
        for word in ("uid", "no_new_privs", "seccomp") + (() if "proxymap" in line else ("chroot",)):
            assert word in line.split(), line


def test_a_thousand_idle_sessions_are_cheap(make_instance):
    instance = make_instance(smtpd_client_connection_count_limit="0").start()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    with contextlib.ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(instance.raw()).hello()
        servers = [pid for name, pid in instance.processes() if name.startswith("127")]
        # The memory of a process that is not dumpable is root's to see.
        rollups = [pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in servers if os.geteuid() == 0]
    assert 1 <= len(servers) <= 4
    if "address" not in os.environ["BUILD_DIRECTORY"]:
        assert sum(int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1)) for text in rollups) < 64 * 1024


def test_below_a_closed_directory_with_a_long_name(make_instance, workspace):
    """A DIR of 200 characters, below a directory that only its owner may enter."""
    closed = workspace / "closed"
    closed.mkdir(mode=0o700)
    name = "closed/" + "d" * (200 - len(str(workspace)) - len("/closed/"))
    instance = make_instance(name).start()
    assert len(str(instance.dir)) == 200
    wake_everything(instance)
    assert len(instance.mbox()) == 1


def test_reload_keeps_sessions(make_instance):
    instance = make_instance().start()
    with RawClient(instance.port) as client:
        client.hello()
        old = instance.processes()
        instance.configure(smtpd_banner="$myhostname ESMTP the-new-one")
        instance.gatepost("reload")
        with RawClient(instance.port) as fresh:
            assert "the-new-one" in fresh.reply()
        assert client.ask("MAIL FROM:<a@example.com>").startswith("250")
        assert client.ask(f"RCPT TO:<{USER}@localhost>").startswith("250")
        assert client.ask("DATA").startswith("354")
        client.send(b"Subject: over a reload\r\n\r\nx\r\n.\r\n")
        reply = client.reply()
        assert reply.startswith("250 2.0.0 Ok: queued as"), reply
        queue_id = reply.split()[-1]
        assert client.ask("QUIT").startswith("221")
    instance.wait_log(f"{queue_id}: removed")
    kept = {pid for _, pid in old} & {pid for _, pid in instance.processes()}
    assert old[0][1] in kept, "master stays"


def test_reloads_under_load_refuse_no_message(make_instance):
    """A queue manager that is being replaced gets no channels that it will not serve."""
    instance = make_instance().start()
    replies, stop = [], threading.Event()

    def send():
        while not stop.is_set():
            with RawClient(instance.port) as client:
                client.hello()
                assert client.ask("MAIL FROM:<a@example.com>").startswith("250")
                assert client.ask(f"RCPT TO:<{USER}@localhost>").startswith("250")
                assert client.ask("DATA").startswith("354")
                client.send(b"Subject: during a reload\r\n\r\nx\r\n.\r\n")
                replies.append(client.reply())

    senders = [threading.Thread(target=send) for _ in range(16)]
    for sender in senders:
        sender.start()
    for _ in range(20):
        instance.gatepost("reload")
    stop.set()
    for sender in senders:
        sender.join()
    assert len(replies) > 20
    assert [r for r in replies if not r.startswith("250")] == []


def banner(instance, port=None):
    with RawClient(port or instance.port) as client:
        return client.reply()


def smtpds(instance):
    return [pid for name, pid in instance.processes() if name.startswith("127")]


def test_two_generations_at_most(make_instance):
    """A session outlives one reload; at the next it ends as soon as it has no transaction."""
    instance = make_instance().start()
    with RawClient(instance.port) as idle, RawClient(instance.port) as busy:
        idle.hello()
        busy.hello()
        assert busy.ask("MAIL FROM:<a@example.com>").startswith("250")
        for text in ("second", "third"):
            instance.configure(smtpd_banner=f"$myhostname ESMTP {text}")
            instance.gatepost("reload")
            assert text in banner(instance)
        assert idle.reply().startswith("421")
        assert busy.ask(f"RCPT TO:<{USER}@localhost>").startswith("250")
        assert busy.ask("DATA").startswith("354")
        busy.send(b"Subject: over two reloads\r\n\r\nx\r\n.\r\n")
        assert busy.reply().startswith("250 2.0.0 Ok: queued as")
        assert busy.reply().startswith("421")
    wait_until("the end of the old ones", lambda: len(smtpds(instance)) == 1)


def test_new_clients_are_served_beside_an_old_session(make_instance):
    """The fresh smtpd dies while the old one still has a session: the port must not be deaf."""
    instance = make_instance().start()
    with RawClient(instance.port) as client:
        client.hello()
        old, = smtpds(instance)
        instance.gatepost("reload")
        assert banner(instance).startswith("220")
        fresh, = set(smtpds(instance)) - {old}
        os.kill(fresh, signal.SIGKILL)
        assert banner(instance).startswith("220")
        assert client.ask("NOOP").startswith("250")


def test_a_reload_does_not_wait_for_a_delivery(make_instance, workspace):
    """Mail is taken while a command of before the reload still runs, and that command runs once."""
    instance = make_instance()
    gate, ran = workspace / "gate", workspace / "ran"
    workspace.chmod(0o777)
    with (instance.etc / "aliases").open("a") as f:
        f.write(f'slow: "|echo x >>{ran}; until [ -e {gate} ]; do sleep 0.05; done"\n')
    run("newaliases", "-c", instance.etc)
    instance.start()
    slow = instance.send(to="slow@localhost")
    wait_until("the command", ran.exists)
    before = time.monotonic()
    instance.gatepost("reload")
    quick = instance.send()
    assert time.monotonic() - before < 10
    gate.touch()
    instance.wait_log(f"{slow}: removed")
    instance.wait_log(f"{quick}: removed")
    assert ran.read_text() == "x\n", instance.log.read_text()


def test_reload_with_a_mistake_changes_nothing(make_instance):
    instance = make_instance().start()
    with (instance.etc / "main.cf").open("a") as f:
        f.write("message_size_limit = large\n")
    lines = len((instance.etc / "main.cf").read_text().splitlines())
    done = instance.gatepost("reload", check=False)
    assert done.returncode == 1
    assert f"main.cf, line {lines}" in done.stdout + done.stderr
    instance.deliver()


def test_a_killed_service_comes_back(instance):
    instance.deliver()
    for wanted in ("qmgr", "cleanup", "rewrite", "local", "proxymap", "postlog"):
        pid = next(p for n, p in instance.processes() if n == wanted)
        os.kill(pid, signal.SIGKILL)
        wait_until(f"the end of {wanted}", lambda: pid not in [p for _, p in instance.processes()])
        wait_until("another delivery", lambda: try_delivery(instance))
    assert len(instance.mbox()) >= 7


def try_delivery(instance):
    try:
        return instance.deliver()
    except AssertionError as error:
        # A message under way at the moment of the kill may be answered 451; any later one is taken.
        assert "451" in str(error) or "4.3.0" in str(error), error
        return None


def test_a_stop_tells_idle_clients(instance):
    with RawClient(instance.port) as client:
        client.hello()
        instance.gatepost("stop")
        assert client.reply().startswith("421")


def test_a_taken_port_is_said(make_instance):
    instance = make_instance()
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", instance.port))
        s.listen()
        done = instance.gatepost("start", check=False)
    assert done.returncode == 1
    assert re.search(r"master\.cf, line 2: .*another server has this port", done.stderr), done.stderr


def test_commands_explain_themselves():
    for program in sorted(BIN.iterdir()):
        if program.name in ("gatepost", "postfix", "postqueue", "postconf", "postmap", "postalias",
                            "newaliases", "postsuper", "postcat", "postlog", "master"):
            done = run(program.name, "--help")
            assert "usage" in done.stdout.lower(), program.name
    for program in ("smtpd", "qmgr", "local"):
        done = run(program, check=False)
        assert done.returncode == 64 and "started by" in done.stderr


def task_stacks(pid):
    """Resident KiB of each task's stack: 64 KiB behind a guard page."""
    found, guard, size = [], False, None
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        mapping = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ (\d+)", line)
        if mapping:
            size = int(mapping[2], 16) - int(mapping[1], 16)
            is_stack = guard and size == 65536 and mapping[3] == "rw-p" and mapping[4] == "0"
            guard = mapping[3] == "---p" and size == 4096
        elif line.startswith("Rss:") and is_stack:
            found.append(int(line.split()[1]))
    return found


@needs_root
@pytest.mark.skipif("address" in os.environ["BUILD_DIRECTORY"], reason="sanitizers need larger stacks")
def test_stacks_stay_below_half(instance):
    """A task has 64 KiB; what real work needs is less than half of that."""
    with (instance.etc / "aliases").open("a") as f:
        f.write(f"team: {USER}, other\nother: {USER}\nnobody-there: \"|exit 75\"\n")
    run("newaliases", "-c", instance.etc)
    long = "".join(f"X-Long-{n}: {'word ' * 150}\r\n <{'a' * 60}@example.com>,\r\n" for n in range(40))
    for to in (f"{USER}@localhost", "team@localhost", "nobody-there@localhost"):
        queue_id = instance.send(f"{long}From: a@b, \"c d\" <e@f>\r\nTo: {'x@y, ' * 50}z@w\r\n\r\n{'body' * 20000}\r\n", to=to)
        instance.wait_log(f"{queue_id}: to=.*status=")
    run("postqueue", "-c", instance.etc, "-p")
    deepest = {}
    for name, pid in instance.processes():
        stacks = task_stacks(pid)
        if not name.endswith("monitor"):
            assert stacks, name
            deepest[name] = max(stacks)
    print(deepest)
    assert max(deepest.values()) <= 32, deepest
