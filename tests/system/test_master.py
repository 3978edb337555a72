# SPDX-License-Identifier: ISC
"""master.cf in all its columns, edited while the mail system runs; and what master takes from its caller."""

import contextlib
import fcntl
import os
import pathlib
import re
import resource
import signal
import socket
import subprocess
import threading

import pytest
from conftest import BIN, USER, RawClient, free_port, needs_root, run, wait_until


def banner(port, host="127.0.0.1"):
    with socket.create_connection((host, port), timeout=30) as s:
        return s.makefile("rb").readline().decode()


def refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        return False
    except ConnectionRefusedError:
        return True


class MasterCf:
    def __init__(self, instance):
        self.path = instance.etc / "master.cf"
        self.base = self.path.read_text()

    def write(self, *rows, base=None):
        self.path.write_text((base or self.base) + "".join(row + "\n" for row in rows))


def rows_for(port, text):
    return f"127.0.0.1:{port} inet n - n - - smtpd\n  -o {{ smtpd_banner = $myhostname ESMTP {text} }}"


def test_rows_come_and_go(make_instance):
    instance = make_instance()
    cf = MasterCf(instance)
    second = free_port()
    cf.write(rows_for(second, "two"))
    instance.start()
    assert "ESMTP two" in banner(second) and "ESMTP two" not in banner(instance.port)

    cf.write(rows_for(second, "changed"))
    instance.gatepost("reload")
    assert "ESMTP changed" in banner(second)

    # The same address under another name: the listener stays.
    cf.write(rows_for(second, "renamed").replace("127.0.0.1:", "localhost:"))
    instance.gatepost("reload")
    assert "ESMTP renamed" in banner(second)

    instance.configure(inet_interfaces="127.0.0.1")
    done = instance.gatepost("reload")
    assert "inet_interfaces was changed; for that, stop and start the mail system" in done.stdout

    cf.write("#" + rows_for(second, "off").replace("\n", "\n#"))
    instance.gatepost("reload")
    assert refused(second) and banner(instance.port).startswith("220")

    cf.write(rows_for(second, "again"))
    instance.gatepost("reload")
    assert "ESMTP again" in banner(second)


@pytest.mark.parametrize("row, said", [
    ("127.0.0.1:{taken} inet n - n - - smtpd", "another server has this port"),
    ("127.0.0.1:{other} inet n - n - - nosuchprogram", "there is no program nosuchprogram"),
    ("127.0.0.1:{other} inet n - n - -", "7 columns"),
])
def test_a_reload_that_fails_leaves_all_as_it_was(make_instance, row, said):
    instance = make_instance()
    cf = MasterCf(instance)
    second = free_port()
    cf.write(rows_for(second, "kept"))
    instance.start()
    assert "kept" in banner(second)
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 0))
        s.listen()
        # A row that would go, one that would get another name, and a bad one.
        cf.write(row.format(taken=s.getsockname()[1], other=free_port()),
                 base=cf.base.replace(f"127.0.0.1:{instance.port}", f"localhost:{instance.port}"))
        done = instance.gatepost("reload", check=False)
    assert done.returncode == 1 and said in done.stdout + done.stderr
    assert re.search(r"master\.cf, line \d+", done.stdout)
    assert "kept" in banner(second)
    instance.deliver()
    cf.write()
    instance.gatepost("reload")
    assert refused(second)
    instance.deliver()


def test_an_explicit_maxproc_is_the_most_sessions(make_instance):
    instance = make_instance()
    cf = MasterCf(instance)
    second = free_port()
    cf.write(f"127.0.0.1:{second} inet n - n - 3 smtpd -o service_session_limit=2")
    instance.start()
    clients = []
    for _ in range(3):
        clients.append(RawClient(second))
        assert clients[-1].reply().startswith("220")
    fourth = RawClient(second)
    fourth.socket.settimeout(0.5)
    with pytest.raises(TimeoutError):
        fourth.reply()
    clients.pop().__exit__()
    with RawClient(second) as fifth:
        fourth.__exit__()
        assert fifth.reply().startswith("220")
    for client in clients:
        client.__exit__()


def test_postscreen_rows_become_an_smtpd(make_instance):
    instance = make_instance()
    cf = MasterCf(instance)
    second = free_port()
    cf.write(f"127.0.0.1:{second} inet n - n - 1 postscreen",
             "smtpd pass - - n - - smtpd -o { smtpd_banner = $myhostname behind }",
             "dnsblog unix - - n - 0 dnsblog", "tlsproxy unix - - n - 0 tlsproxy")
    instance.start()
    with RawClient(second) as one, RawClient(second) as two:
        assert "behind" in one.reply() and "behind" in two.reply()


def test_old_types_and_ipv6_names(make_instance):
    instance = make_instance()
    cf = MasterCf(instance)
    second = free_port()
    rows = ["pickup fifo n - n 60 1 pickup"]
    if pathlib.Path("/proc/net/if_inet6").exists() and "lo" in pathlib.Path("/proc/net/if_inet6").read_text():
        rows.append(f"[::1]:{second} inet n - n - - smtpd")
    cf.write(*rows, base=re.sub(r"^qmgr +unix", "qmgr fifo", cf.base, flags=re.M))
    instance.start()
    instance.deliver()
    if len(rows) > 1:
        assert banner(second, "::1").startswith("220")


def test_a_service_that_fails_at_its_start_is_throttled(make_instance):
    instance = make_instance(service_throttle_time="2s")
    cf = MasterCf(instance)
    second = free_port()
    cf.write(f"127.0.0.1:{second} inet n - n - - smtpd -o mynetworks=hash:{instance.etc}/nosuch")
    instance.start()
    with RawClient(second):
        instance.wait_log("bad command startup -- throttling", count=2)
    starts = len([line for line in instance.lines() if "bad command startup" in line])
    assert starts <= 3
    assert "fails at its start" in instance.gatepost("status").stdout
    instance.deliver()


def test_a_start_without_descriptors_is_tried_again(make_instance):
    instance = make_instance().start()
    master = dict(instance.processes())["master"]
    instance.deliver()
    smtpd = next(pid for name, pid in instance.processes() if name.startswith("127"))
    limits = resource.prlimit(master, resource.RLIMIT_NOFILE)
    resource.prlimit(master, resource.RLIMIT_NOFILE, (3, limits[1]))
    os.kill(smtpd, signal.SIGKILL)
    with RawClient(instance.port) as client:
        instance.wait_log("cannot start .*trying again")
        resource.prlimit(master, resource.RLIMIT_NOFILE, limits)
        assert client.reply().startswith("220")


def test_services_inherit_nothing_from_the_caller(make_instance):
    """Neither its environment nor its descriptors."""
    instance = make_instance(export_environment="TZ MAIL_CONFIG WANTED")
    secret = os.open("/dev/zero", os.O_RDONLY)
    os.set_inheritable(secret, True)
    try:
        subprocess.run([BIN / "gatepost", "-c", instance.etc, "start"], check=True, capture_output=True,
                       close_fds=False, env={**os.environ, "LD_DEBUG_OUTPUT": "/x", "SECRET": "x", "WANTED": "y"})
    finally:
        os.close(secret)
    instance.deliver()
    for name, pid in instance.processes():
        fds = []
        for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir() if os.geteuid() == 0 else []:
            fds.append(os.readlink(fd))
        assert "/dev/zero" not in fds, name
        if os.geteuid() != 0 or name == "master":
            continue        # the kernel shows what master was started with, not what it kept
        environment = pathlib.Path(f"/proc/{pid}/environ").read_text().split("\0")
        names = {v.split("=")[0] for v in environment if v}
        assert names <= {"TZ", "LANG", "PATH", "MAIL_CONFIG", "WANTED"} and "WANTED" in names, (name, names)


def test_the_lock_of_master_can_not_be_held_by_others(make_instance):
    instance = make_instance().start()
    lock = instance.dir / "queue/pid/master.pid"
    assert lock.stat().st_mode & 0o777 == 0o600
    instance.gatepost("stop")
    with lock.open("r+") as f:
        fcntl.flock(f, fcntl.LOCK_EX)       # of whoever got a descriptor once
        instance.start()
    assert "already running" in instance.gatepost("start", check=False).stderr


def test_the_foreground(make_instance):
    """Log on standard output; SIGHUP reads anew, SIGTERM and SIGINT end in order with status 0."""
    for number in (signal.SIGTERM, signal.SIGINT):
        instance = make_instance(f"fg{number}", maillog_file="/dev/stdout")
        done = instance.gatepost("start", check=False)
        assert done.returncode == 1 and "start-fg" in done.stderr
        with subprocess.Popen([BIN / "gatepost", "-c", instance.etc, "start-fg"], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True) as process:
            seen = []

            def read_until(text):
                for line in process.stdout:
                    seen.append(line)
                    if text in line:
                        return
                raise AssertionError(seen)

            read_until("daemon started")
            wait_until("the port", lambda: not refused(instance.port))
            queue_id = instance.send()
            read_until(f"{queue_id}: removed")
            process.send_signal(signal.SIGHUP)
            read_until("reload -- version")
            process.send_signal(number)
            assert process.wait(30) == 0
        assert len(instance.mbox()) == 1


def test_the_log_file_is_opened_anew_by_a_reload(make_instance):
    instance = make_instance().start()
    instance.deliver()
    old = instance.log.with_suffix(".1")
    instance.log.rename(old)
    instance.gatepost("reload")
    queue_id = instance.deliver()
    assert queue_id not in old.read_text()


def test_kills_leave_no_descriptor_and_no_zombie(make_instance):
    instance = make_instance().start()
    master = dict(instance.processes())["master"]
    count = lambda: len(os.listdir(f"/proc/{master}/fd"))
    instance.deliver()
    before = count()
    for _ in range(5):
        for name, pid in instance.processes():
            if name not in ("master", "postlog") and not name.endswith("monitor"):
                os.kill(pid, signal.SIGKILL)
        wait_until("a delivery", lambda: delivered(instance))
    wait_until("no more descriptors than before", lambda: count() <= before)
    children = subprocess.run(["ps", "--ppid", str(master), "-o", "stat="], capture_output=True, text=True)
    assert "Z" not in children.stdout


def test_a_killed_postlogd_loses_no_line(make_instance):
    instance = make_instance().start()
    ids = []

    def send():
        with instance.smtp() as client:
            for _ in range(300):
                client.mail("a@example.com")
                client.rcpt(f"{USER}@localhost")
                ids.append(client.data("Subject: x\r\n\r\nx\r\n")[1].decode().split()[-1])

    sender = threading.Thread(target=send)
    sender.start()
    kills = 0
    while sender.is_alive():
        ready = re.search(r"^postlog +\S+ +(\d+).* ready ", instance.gatepost("status").stdout, re.M)
        if ready is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(ready.group(1)), signal.SIGKILL)
                kills += 1
    sender.join()
    assert kills > 5 and len(ids) == 300
    instance.wait_log(": removed", count=300)
    log = instance.log.read_text()
    missing = [i for i in ids for what in ("client=", "message-id=", "from=", "to=", "removed")
               if f"{i}: {what}" not in log]
    assert not missing, missing


def delivered(instance):
    try:
        return instance.deliver()
    except (AssertionError, OSError) as error:
        assert not isinstance(error, AssertionError) or "4" in str(error)
        return None
    except Exception:
        return None         # its session was among the killed


def test_names_of_directories(workspace):
    for name in ("a b", "a$b", "a,b", 'a"b', "a#b", "a{b", "a\nb"):
        done = run("gatepost", "init", workspace / name, check=False)
        assert done.returncode == 1 and "main.cf cannot express this name" in done.stderr, name
        assert not (workspace / name).exists(), name
    for name in ("it's-größe", "a=b;c%sd:e"):
        port = free_port()
        run("gatepost", "init", workspace / name, "--port", port)
        etc = workspace / name / "etc"
        run("gatepost", "-c", etc, "start")
        assert banner(port).startswith("220")
        run("gatepost", "-c", etc, "stop")
    again = run("gatepost", "init", workspace / "a=b;c%sd:e", check=False)
    assert again.returncode == 1 and "has an instance already" in again.stderr
    done = run("gatepost", "init", "relative", "--port", free_port(), cwd=workspace)
    assert str(workspace / "relative") in done.stdout
