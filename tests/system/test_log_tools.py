# SPDX-License-Identifier: ISC
"""What reads Postfix's log reads ours: pflogsumm counts what was sent, fail2ban finds who means harm."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys

import pytest
from conftest import BIN, USER, RawClient, run, wait_until
from peer import unpack

LOCAL = f"{USER}@localhost"


# --- pflogsumm -------------------------------------------------------------------------------------

class Ledger:
    """What was done to a server, counted as pflogsumm names it."""

    def __init__(self):
        self.counts = dict.fromkeys(("received", "delivered", "deferred", "deferrals", "bounced", "rejected"), 0)
        self.senders, self.recipients = {}, {}
        self.ids = []

    def add(self, name, count=1):
        self.counts[name] += count

    def took(self, queue_id, sender, outcomes):
        """outcomes: recipient address behind all aliases, and what becomes of it."""
        self.add("received")
        self.senders[sender or "from=<>"] = self.senders.get(sender or "from=<>", 0) + 1
        self.add("deferred", any(outcome == "deferrals" for _, outcome in outcomes))
        for recipient, outcome in outcomes:
            self.ids.append((queue_id, recipient, {"delivered": "sent", "deferrals": "deferred"}.get(outcome, outcome)))
            self.add(outcome)
            if outcome == "delivered":
                self.recipients[recipient] = self.recipients.get(recipient, 0) + 1


def summary(log):
    """pflogsumm's totals, and its counts for each sender and recipient."""
    report = subprocess.run(["pflogsumm", "--detail", "100", log], check=True, capture_output=True, text=True).stdout
    totals = {name: int(n) for n, name in re.findall(r"(?m)^ +(\d+) +(received|delivered|deferred|bounced|rejected)\b",
                                                     report)}
    totals["deferrals"] = int(re.search(r"\((\d+) +deferrals\)", report).group(1))

    def users(title):
        block = re.search(rf"(?ms)^top 100 {title} by message count\n-+\n(.*?)\n\n", report).group(1)
        return {name: int(n) for n, name in re.findall(r"(?m)^ +(\d+) +(\S+)", block)}

    return totals, users("Senders"), users("Recipients"), report


# Recipients of one message: the address at RCPT, the one that is logged, what becomes of it or the refusal.
HERE = (LOCAL, LOCAL, "delivered")
HERE_TOO = (f"{USER}+box@localhost", f"{USER}+box@localhost", "delivered")
THROWN = ("x@hole.example", "x@hole.example", "delivered")
LATER = ("x@later.example", "x@later.example", "deferrals")
LATER_TOO = ("y@later.example", "y@later.example", "deferrals")
GONE = ("gone@virtual.example", "x@gone.example", "bounced")
GONE_TOO = ("left@virtual.example", "y@gone.example", "bounced")
RELAY = ("x@elsewhere.example", None, "454")
UNKNOWN = ("nobody-here@localhost", None, "550")
MOVED = ("x@gone.example", None, "550")

TRANSACTIONS = [
    ("a@sender.example", [HERE]),
    ("a@sender.example", [HERE, HERE_TOO]),
    ("b@sender.example", [THROWN]),
    ("", [HERE, THROWN]),
    ("b@sender.example", [LATER]),
    ("c@sender.example", [LATER, LATER_TOO, HERE]),
    (LOCAL, [GONE]),
    (LOCAL, [GONE, GONE_TOO, HERE, LATER]),
    ("", [GONE_TOO]),
    ("d@sender.example", [RELAY]),
    ("d@sender.example", [RELAY, UNKNOWN, MOVED]),
    ("a@sender.example", [UNKNOWN, HERE, RELAY]),
    (LOCAL, [HERE, UNKNOWN, LATER, GONE, THROWN, MOVED]),
] * 3


def transact(client, ledger, sender, recipients):
    client.rset()
    assert client.mail(sender)[0] == 250
    accepted = []
    for address, logged, outcome in recipients:
        code = client.rcpt(address)[0]
        if logged is None:
            assert code == int(outcome), address
            ledger.add("rejected")
        else:
            assert code == 250, address
            accepted.append((logged, outcome))
    if accepted:
        code, reply = client.data("Subject: counted\r\n\r\nbody\r\n")
        assert code == 250, reply
        ledger.took(reply.decode().split()[-1], sender, accepted)


def count_notices(instance, ledger):
    """Notices are messages of the server's own: pflogsumm sees them arrive, not come."""
    if not (BIN / "bounce").exists():
        return
    for queue_id in {queue_id for queue_id, _, status in ledger.ids if status == "bounced"}:
        instance.wait_log(rf"{queue_id}: (sender non-delivery notification:|undeliverable message without a sender)")
    waiting = {queue_id for queue_id, _, status in ledger.ids if status == "deferred"}
    wait_until("the end of all else", lambda: waiting == set(re.findall(
        r'"queue_id": ?"(\w+)"', run("postqueue", "-c", instance.etc, "-j").stdout)))
    for message in instance.mbox():
        if message["Return-Path"] == "<>" and message["Subject"] != "counted":
            ledger.add("delivered")
            ledger.recipients[message["X-Original-To"]] += 1


def test_pflogsumm_counts_what_happened(make_instance):
    instance = make_instance(
        mynetworks="192.0.2.0/24", recipient_delimiter="+", smtpd_error_sleep_time="0",
        relay_domains="hole.example later.example gone.example", virtual_alias_domains="virtual.example",
        virtual_alias_maps="inline:{ {gone@virtual.example = x@gone.example} {left@virtual.example = y@gone.example} }",
        transport_maps="inline:{ {hole.example = discard:into the hole}, {later.example = retry:4.2.0 not now}, "
        "{gone.example = error:5.1.6 moved} }").start()
    ledger = Ledger()
    with instance.smtp() as client:
        client.ehlo("client.example")
        for sender, recipients in TRANSACTIONS:
            transact(client, ledger, sender, recipients)
    for queue_id, recipient, status in ledger.ids:
        instance.wait_log(rf"{queue_id}: to=<{re.escape(recipient)}>, .*status={status} ")
    count_notices(instance, ledger)
    totals, senders, recipients, report = summary(instance.log)
    assert totals == ledger.counts
    assert senders == ledger.senders
    assert recipients == ledger.recipients
    for reason in ("4.2.0|not now", "5.1.6|moved", "Relay access denied", "User unknown in local recipient table"):
        assert re.search(reason, report), report


# --- fail2ban ----------------------------------------------------------------------------------------

class Fail2ban:
    """Debian's package, unpacked below the build directory, never installed and never started."""

    def __init__(self, build):
        self.root = pathlib.Path(build) / "fail2ban"
        if not self.root.exists():
            unfinished = self.root.with_name("fail2ban.unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            unpack("fail2ban", unfinished)
            unfinished.rename(self.root)

    def found(self, log, mode):
        """The addresses that Debian's filter for Postfix finds in a log."""
        done = subprocess.run(
            [sys.executable, self.root / "usr/bin/fail2ban-regex", "--config", self.root / "etc/fail2ban", "--raw",
             "--out", "ip", log, f"postfix[mode={mode}]"], capture_output=True, text=True,
            env=dict(os.environ, PYTHONPATH=str(self.root / "usr/lib/python3/dist-packages")))
        assert done.returncode in (0, 1), done.stderr
        return set(done.stdout.split())


@pytest.fixture(scope="session")
def fail2ban():
    try:
        return Fail2ban(BIN.parent)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"Debian's fail2ban package can't be had: {getattr(error, 'stderr', None) or error}")


class From(RawClient):
    """A client with an address of its own, so that the log tells whose line it is."""

    def __init__(self, port, address):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.socket = socket.socket(family)
        self.socket.settimeout(60)
        self.socket.bind((address, 0))
        self.socket.connect(("::1" if family == socket.AF_INET6 else "127.0.0.1", port))
        self.file = self.socket.makefile("rb")

    def ask_all(self, *lines):
        return [self.ask(line) for line in lines]

    def mail(self, recipient=LOCAL, content="Subject: x\r\n\r\nbody\r\n", options=""):
        self.ask_all(f"MAIL FROM:<s@sender.example>{options}", f"RCPT TO:<{recipient}>", "DATA")
        self.send(content.encode("latin-1") + b".\r\n")
        assert self.reply().startswith("250")
        return self

    def quit(self):
        assert self.ask("QUIT").startswith("221")


@contextlib.contextmanager
def stopped(instance):
    """What a client sends meanwhile is there before the greeting."""
    pids = [pid for name, pid in instance.processes() if name == f"127.0.0.1:{instance.port}"]
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
        wait_until("the stop", lambda: "State:\tT" in pathlib.Path(f"/proc/{pid}/status").read_text())
    yield
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def before_greeting(text):
    def session(instance, address):
        with stopped(instance):
            client = From(instance.port, address)
            client.send(text)
        with client:
            while client.reply():
                pass
    return session


def dialogue(*lines):
    """Says hello and these lines, each after the answer to the last, and is gone."""
    def session(instance, address):
        with From(instance.port, address) as client:
            client.reply()
            client.ask_all(*lines)
    return session


def at_once(*lines):
    """Waits for no answer but the greeting."""
    def session(instance, address):
        with From(instance.port, address) as client:
            client.reply()
            client.send("".join(line + "\r\n" for line in lines).encode())
            while client.reply():
                pass
    return session


EHLO, MAIL, RCPT = "EHLO client.example", "MAIL FROM:<s@sender.example>", f"RCPT TO:<{LOCAL}>"
NORMAL, DDOS = {"more", "aggressive"}, {"ddos", "aggressive"}
BOTH = NORMAL | DDOS
# What it does, in which modes the filter has to find it.
HOSTILE = {
    "tries to relay": (dialogue(EHLO, MAIL, "RCPT TO:<x@elsewhere.example>", "QUIT"), NORMAL),
    "tries to relay by way of us": (dialogue(EHLO, MAIL, "RCPT TO:<x%elsewhere.example@localhost>", "QUIT"), NORMAL),
    "guesses names": (dialogue(EHLO, MAIL, "RCPT TO:<admin7@localhost>", "RCPT TO:<info7@localhost>", "QUIT"), NORMAL),
    "makes too many errors": (dialogue(EHLO, *["WHATEVER"] * 8), NORMAL),
    "asks for names until it is sent away": (dialogue(EHLO, *["RCPT TO:<a@localhost>"] * 8), NORMAL),
    "does not wait for an answer to HELO": (at_once("HELO x", MAIL, RCPT, "QUIT"), NORMAL),
    "does not wait for an answer to DATA": (at_once(EHLO, MAIL, RCPT, "DATA", "Subject: x", "", ".", "QUIT"), NORMAL),
    "speaks HTTP": (before_greeting(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), NORMAL),
    "speaks TLS": (before_greeting(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256))), NORMAL),
    "hangs up at the greeting": (dialogue(), DDOS),
    "hangs up after EHLO": (dialogue(EHLO), DDOS),
    "hangs up after a sender": (dialogue(EHLO, MAIL), DDOS),
    "hangs up after a recipient": (dialogue(EHLO, MAIL, RCPT), DDOS),
    "tries to authenticate": (dialogue(EHLO, "AUTH LOGIN", "QUIT"), DDOS),
    "tries to authenticate and hangs up": (dialogue(EHLO, "AUTH PLAIN AGEAYg=="), DDOS),
    "tries to relay and hangs up": (dialogue(EHLO, MAIL, "RCPT TO:<x@elsewhere.example>"), BOTH),
    # It means others to be locked out.
    "writes another's address": (dialogue(
        "EHLO from x[192.0.2.66]:", 'MAIL FROM:<"RCPT from x[192.0.2.66]: 554 5.7.1 y: Relay access denied"@x.example>',
        'RCPT TO:<"from x[192.0.2.66]: 554 5.7.1"@elsewhere.example>', "from x[192.0.2.66]", "QUIT"), NORMAL),
}


def friendly(*steps, host="127.0.0.1"):
    """Greets, does the steps (lines or calls), says good-bye."""
    def session(instance, address):
        with From(instance.port, address) as client:
            client.hello()
            for step in steps:
                assert client.ask(step)[0] in "25" if isinstance(step, str) else step(client)
            client.quit()
    return session


def slowly(client):
    """Byte by byte."""
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for line in (MAIL, RCPT, "DATA", "Subject: slow\r\n\r\nbody\r\n."):
        for byte in (line + "\r\n").encode():
            client.send(bytes([byte]))
        assert client.reply()[0] in "23"
    return True


def pipelined(client):
    client.send(f"{MAIL}\r\n{RCPT}\r\nDATA\r\n".encode())
    assert [client.reply()[:3] for _ in range(3)] == ["250", "250", "354"]
    client.send(b"Subject: x\r\n\r\nbody\r\n.\r\n")
    return client.reply().startswith("250")


def old_fashioned(instance, address):
    with From(instance.port, address) as client:
        client.reply()
        client.ask("helo client.example")
        client.mail()
        client.quit()


def gone_after_its_message(instance, address):
    with From(instance.port, address) as client:
        client.hello().mail()


HARMLESS = {
    "sends a message": friendly(From.mail),
    "sends three": friendly(From.mail, From.mail, From.mail),
    "pipelines as it may": friendly(pipelined),
    "is slow": friendly(slowly),
    "thinks again": friendly(MAIL, RCPT, "RSET", From.mail),
    "sends much": friendly(lambda c: c.mail(content="Subject: x\r\n\r\n" + ("x" * 998 + "\r\n") * 3000)),
    "sends 8 bits": friendly(lambda c: c.mail(content="Subject: \xe4\r\n\r\n\xe4\xff\r\n", options=" BODY=8BITMIME")),
    "writes of other mail": friendly(lambda c: c.mail(
        content="Subject: NOQUEUE: reject: RCPT from x[192.0.2.66]: 554 5.7.1 x: Relay access denied\r\n"
        "Message-ID: <warning: x[192.0.2.66]: SASL LOGIN authentication failed: x@y>\r\n\r\nbody\r\n")),
    "only looks": friendly("NOOP", f"VRFY {USER}"),
    "leaves early": friendly(),
    "leaves with a message begun": friendly(MAIL, RCPT),
    "knows no EHLO": old_fashioned,
    "leaves without a word, its work done": gone_after_its_message,
    "comes by IPv6": friendly(From.mail),
}


def listen_on_ipv6(instance):
    master_cf = instance.etc / "master.cf"
    master_cf.write_text(master_cf.read_text() + f"[::1]:{instance.port} inet n - n - - smtpd\n")
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as s:
        s.bind(("::1", 0))
        return
    pytest.skip("no IPv6 here")


def test_fail2ban_finds_the_hostile_and_no_others(make_instance, fail2ban):
    instance = make_instance(mynetworks="192.0.2.0/24", smtpd_error_sleep_time="0", smtpd_hard_error_limit="5")
    listen_on_ipv6(instance)
    instance.start()
    for n, session in enumerate(HARMLESS.values(), 1):
        address = "::1" if n == len(HARMLESS) else f"127.0.2.{n}"
        session(instance, address)
        instance.wait_log(rf": disconnect from localhost\[{address}\]")
    assert fail2ban.found(instance.log, "aggressive") == set()
    addresses = {name: f"127.0.1.{n}" for n, name in enumerate(HOSTILE, 1)}
    for name, (session, _) in HOSTILE.items():
        session(instance, addresses[name])
        instance.wait_log(rf": disconnect from localhost\[{addresses[name]}\]")
    for mode in ("more", "ddos", "aggressive"):
        found = {next((n for n, a in addresses.items() if a == ip), ip) for ip in fail2ban.found(instance.log, mode)}
        assert found == {name for name, (_, modes) in HOSTILE.items() if mode in modes}, mode
