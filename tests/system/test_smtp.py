# SPDX-License-Identifier: ISC
"""The SMTP server, as clients meet it."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import tempfile
import time

import pytest
from conftest import USER, Instance, RawClient


@contextlib.contextmanager
def an_instance(**settings):
    path = pathlib.Path(tempfile.mkdtemp(prefix="gatepost-test-"))
    path.chmod(0o755)
    instance = Instance(path / "instance", **settings).start()
    yield instance
    instance.gatepost("abort", check=False)
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def shared():
    with an_instance(message_size_limit="1000000", smtpd_error_sleep_time="0", smtpd_recipient_limit="5",
                     smtpd_hard_error_limit="8", relay_domains="relay.example") as instance:
        yield instance


def session(shared):
    return RawClient(shared.port).hello()


def test_greeting_and_extensions(shared):
    with RawClient(shared.port) as c:
        assert re.match(r"220 \S+ ESMTP Gatepost$", c.reply())
        lines = c.ask("EHLO client.example").splitlines()
        assert [line[4:].split()[0] for line in lines[1:]] == ["PIPELINING", "SIZE", "VRFY", "ENHANCEDSTATUSCODES",
                                                              "8BITMIME", "DSN"]
        assert "SIZE 1000000" in lines[2]
        assert c.ask("HELO client.example").startswith("250 ")
        assert c.ask("NOOP") == "250 2.0.0 Ok"
        assert c.ask("RSET") == "250 2.0.0 Ok"
        assert c.ask("HELP")[0] in "25"
        assert c.ask(f"VRFY {USER}").startswith("252 2.0.0")
        assert c.ask("QUIT") == "221 2.0.0 Bye"
        assert c.reply() == ""


@pytest.mark.parametrize("lines, expected", [
    (["EHLO two words"], "501 Syntax: EHLO hostname"),
    (["EHLO x", "RCPT TO:<a@b.example>"], "503 5.5.1 Error: need MAIL command"),
    (["EHLO x", "DATA"], "503 5.5.1 Error: need RCPT command"),
    (["EHLO x", "MAIL FROM:<a@b.example>", "DATA"], "503 5.5.1 Error: need RCPT command"),
    (["EHLO x", "MAIL FROM:<a@b.example>", "MAIL FROM:<a@b.example>"], "503 5.5.1 Error: nested MAIL command"),
    (["EHLO x", "MAIL"], "501 5.5.4 Syntax: MAIL FROM:<address>"),
    (["EHLO x", "MAIL FROM:<a@b@c>"], "501 5.1.7 Bad sender address syntax"),
    (["EHLO x", "MAIL FROM:<a@b.example> FOO=1"], "555 5.5.4 Unsupported option: FOO=1"),
    (["EHLO x", "MAIL FROM:<a@b.example> RET=SOME"], "501 5.5.4 Bad RET parameter syntax"),
    (["EHLO x", "MAIL FROM:<a@b.example> RET=FULL RET=FULL"], "501 5.5.4 Bad RET parameter syntax"),
    (["EHLO x", "MAIL FROM:<a@b.example> ENVID=a+0Ab"], "501 5.5.4 Bad ENVID parameter syntax"),
    (["EHLO x", "MAIL FROM:<a@b.example> ENVID=a ENVID=b"], "501 5.5.4 Bad ENVID parameter syntax"),
    (["EHLO x", "MAIL FROM:<a@b.example> ENVID=" + "a" * 101], "501 5.5.4 Bad ENVID parameter syntax"),
    (["EHLO x", "MAIL FROM:<>", "RCPT TO:<a@b.example> FOO"], "555 5.5.4 Unsupported option: FOO"),
    *[(["EHLO x", "MAIL FROM:<>", f"RCPT TO:<a@b.example> NOTIFY={n}"], "501 5.5.4 Error: Bad NOTIFY parameter syntax")
      for n in ("", "SOMETIMES", "NEVER,DELAY", "DELAY NOTIFY=DELAY")],
    *[(["EHLO x", "MAIL FROM:<>", f"RCPT TO:<a@b.example> ORCPT={o}"], "501 5.5.4 Error: Bad ORCPT parameter syntax")
      for o in ("", "a@b.example", ";a", "rfc822;", "rfc822;a+zz", "rfc822;a=b", "rfc822;a ORCPT=rfc822;a",
                "rfc822;" + "a" * 500)],
    (["EHLO x", "MAIL FROM:<a@b.example> SIZE=1000001"], "552 5.3.4 Message size exceeds fixed limit"),
    (["EHLO x", "MAIL FROM:<>", "RCPT TO:<a@b@c>"], "501 5.1.3 Bad recipient address syntax"),
    (["EHLO x", "MAIL FROM:<>", "RCPT TO:<nobody-here@localhost>"],
     "550 5.1.1 <nobody-here@localhost>: Recipient address rejected: User unknown in local recipient table"),
    (["EHLO x", "WHATEVER"], "500 5.5.2 Error: command not recognized"),
    (["EHLO"], "501 Syntax: EHLO hostname"),
])
def test_refusals(shared, lines, expected):
    with RawClient(shared.port) as c:
        c.reply()
        for line in lines:
            reply = c.ask(line)
        assert reply == expected


def test_relaying_is_for_our_networks_only(make_instance):
    instance = make_instance(mynetworks="192.0.2.0/24", relay_domains="relay.example").start()
    with session(instance) as c:
        c.ask("MAIL FROM:<a@b.example>")
        assert c.ask("RCPT TO:<x@elsewhere.example>") == (
            "454 4.7.1 <x@elsewhere.example>: Relay access denied")
        assert c.ask("RCPT TO:<x@relay.example>").startswith("250")
        assert c.ask(f"RCPT TO:<{USER}@localhost>") == "250 2.1.5 Ok"
        # Nothing that a later hop could read as a route makes a foreign address ours.
        for address in ("x%elsewhere.example@localhost", '"x@elsewhere.example"@localhost',
                        "x!y@localhost", "@localhost:x@elsewhere.example"):
            assert c.ask(f"RCPT TO:<{address}>")[0] in "45", address
    instance.wait_log(r"NOQUEUE: reject: RCPT from localhost\[127.0.0.1\]: 454 4.7.1 "
                      r"<x@elsewhere.example>: Relay access denied; from=<a@b.example> "
                      r"to=<x@elsewhere.example> proto=ESMTP helo=<client.example>")


LABELS = ".".join(["a" * 63] * 4)       # 255 bytes


@pytest.mark.parametrize("address, sender, recipient", [
    ("", "250", "501 5.1.3"),
    ("@a,@b:c@d", "250", "454 4.7.1 <c@d>"),
    ('"a\\"b"@c', "250", '454 4.7.1 <"a\\"b"@c>'),
    ("a@[1.2.3.4]", "250", "454 4.7.1 <a@[1.2.3.4]>"),
    ("a@[IPv6:::1]", "250", "550 5.1.1 <a@[IPv6:::1]>"),
    ("a@1.2.3.4", "501 5.1.7", "501 5.1.3"),
    ("a@[1.2.3.4", "501 5.1.7", "501 5.1.3"),
    ("a@b.", "250", "454 4.7.1 <a@b>"),
    ("a@-b", "501 5.1.7", "501 5.1.3"),
    ("a" * 65 + "@b", "250", "454 4.7.1"),      # lists need long ones
    ("a@" + LABELS, "250", "454 4.7.1"),
    ("a@" + LABELS + "a", "501 5.1.7", "501 5.1.3"),
    ("a@b@c", "501 5.1.7", "501 5.1.3"),
    ("a\0b@c", "501 5.1.7", "501 5.1.3"),
    ("\xe4@c", "501 5.1.7", "501 5.1.3"),
    (";id;@x", "501 5.1.7", "501 5.1.3"),
    ("$(id)@x", "501 5.1.7", "501 5.1.3"),
    ("`id`@x", "250", "454 4.7.1 <`id`@x>"),
    ("-oQ/tmp@x", "250", "454 4.7.1 <-oQ/tmp@x>"),
    ("|cmd", "250", "550 5.1.1 <|cmd>"),
    ("/etc/passwd", "250", "550 5.1.1 </etc/passwd>"),
    (f"../{USER}@localhost", "250", f'550 5.1.1 <"../{USER}"@localhost>'),
    (f"{USER}@[127.0.0.1]", "250", "250"),
    (f"{USER.upper()}@LocalHost.", "250", "250"),
])
def test_verdicts_on_addresses(stranger, address, sender, recipient):
    with session(stranger) as c:
        assert c.ask(f"MAIL FROM:<{address}>").startswith(sender)
        assert c.ask("RSET").startswith("250")
        c.ask("MAIL FROM:<>")
        assert c.ask(f"RCPT TO:<{address}>").startswith(recipient)


@pytest.mark.parametrize("override", ["smtpd_relay_restrictions=", "smtpd_relay_restrictions=permit,reject"])
def test_no_service_of_master_cf_becomes_an_open_relay(make_instance, override):
    instance = make_instance(mynetworks="192.0.2.0/24")
    master_cf = instance.etc / "master.cf"
    master_cf.write_text(re.sub(r"(?m) smtpd$", f" smtpd -o {override}", master_cf.read_text()))
    instance.gatepost("start", check=False)
    with socket.create_connection(("127.0.0.1", instance.port), timeout=60):
        instance.wait_log(r"fatal: .*everybody could relay; add reject_unauth_destination")


def test_a_message_arrives_as_it_was_sent(shared):
    body = "".join(f"{'.' * (n % 4)}line {n}\r\n" for n in range(200)) + "x" * 5000 + "\r\n\u00e9\r\n"
    with session(shared) as c:
        assert c.ask("MAIL FROM:<> BODY=8BITMIME").startswith("250")
        assert c.ask(f"RCPT TO:<{USER}@localhost>").startswith("250")
        assert c.ask("DATA").startswith("354")
        stuffed = re.sub(r"(?m)^\.", "..", body)
        c.send(b"Subject: bytes\r\n\r\n" + stuffed.encode() + b".\r\n")
        queue_id = c.reply().split()[-1]
    shared.wait_log(f"{queue_id}: removed")
    message = next(m for m in shared.mbox() if queue_id in str(m["Received"]))
    raw = (shared.dir / "mail" / USER).read_bytes()
    assert b"\n\n" + body.replace("\r\n", "\n").encode() in raw
    assert message["Return-Path"] == "<>"
    assert message["Delivered-To"] == f"{USER}@localhost"


def test_settings_of_the_dialogue(make_instance):
    instance = make_instance(smtpd_helo_required="yes", disable_vrfy_command="yes", mynetworks="192.0.2.0/24",
                             smtpd_discard_ehlo_keywords="pipelining, size, dsn", relay_domains_reject_code="550",
                             local_header_rewrite_clients="permit_mynetworks, hash:/x",
                             smtpd_forbid_bare_newline="note",
                             smtpd_relay_restrictions="permit_mynetworks, reject_unauth_destination").start()
    with RawClient(instance.port) as c:
        c.reply()
        assert c.ask("MAIL FROM:<a@b.example>") == "503 5.5.1 Error: send HELO/EHLO first"
        reply = c.ask("EHLO client.example")
        assert not any(word in reply for word in ("PIPELINING", "SIZE", "VRFY", "DSN"))
        assert c.ask("MAIL FROM:<a@b.example> RET=FULL") == "501 5.7.1 DSN support is disabled"
        assert c.ask("VRFY x") == "502 5.5.1 VRFY command is disabled"
        c.ask("MAIL FROM:<a@b.example>")
        assert c.ask("RCPT TO:<x@elsewhere.example>") == "550 5.7.1 <x@elsewhere.example>: Relay access denied"
        assert c.ask(f"RCPT TO:<{USER}@localhost>").startswith("250")
        assert c.ask("DATA").startswith("354")
        queue_id = c.ask("Subject: as it came\n\r\n.").split()[-1]
    instance.wait_log(f"{queue_id}: message-id=<>$")
    instance.wait_log("discarding EHLO keywords: pipelining, size, dsn$")
    instance.wait_log(r"disconnect from \S+ ehlo=1 mail=1/3 rcpt=1/2 data=1 vrfy=0/1 commands=4/8 notes=bare_lf$")
    instance.wait_log("warning: local_header_rewrite_clients: hash:/x matches nobody yet")


def test_pipelining_and_limits(shared):
    with session(shared) as c:
        c.send(b"MAIL FROM:<a@b.example>\r\n" + b"RCPT TO:<%s@localhost>\r\n" % USER.encode() * 7 +
               b"RSET\r\nNOOP\r\n")
        replies = [c.reply() for _ in range(10)]
        assert [r[:3] for r in replies] == ["250"] * 6 + ["452"] * 2 + ["250"] * 2
        assert replies[6] == "452 4.5.3 Error: too many recipients"
        assert c.ask("MAIL FROM:<" + "a" * 3000 + "@b>")[0] in "45"
        assert c.ask("NOOP").startswith("250")


def test_too_many_errors_end_the_session(shared):
    with session(shared) as c:
        replies = [c.ask("FOO") for _ in range(9)]
        assert any(r.startswith("421 4.7.0") for r in replies), replies
        assert c.reply() == ""
    shared.wait_log(r"too many errors after UNKNOWN from localhost\[127.0.0.1\]")


def test_size_limit_while_reading(shared):
    with session(shared) as c:
        c.ask("MAIL FROM:<>")
        c.ask(f"RCPT TO:<{USER}@localhost>")
        c.ask("DATA")
        c.send((b"x" * 998 + b"\r\n") * 1100 + b".\r\n")
        assert c.reply().startswith("552 5.3.4")
        assert c.ask("NOOP").startswith("250")


SMUGGLING = [b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r.\r\n", b"\r\n.\n", b"\r\n.\r", b"\n\n.\r\n", b"\r\n.\r\r\n",
             b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\n\0.\r", b"\r\n\0.\n", b"\r\r\n.\r\r\n"]


@pytest.mark.parametrize("ending", SMUGGLING)
def test_only_one_sequence_ends_a_message(shared, ending):
    marker = ending.hex()
    with session(shared) as c:
        c.ask("MAIL FROM:<>")
        c.ask(f"RCPT TO:<{USER}@localhost>")
        c.ask("DATA")
        c.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        c.send(b"Subject: smuggle " + marker.encode() + b"\r\n\r\nfirst" + ending[:-1])
        c.send(ending[-1:] + b"MAIL FROM:<evil@example>\r\nRCPT TO:<" + USER.encode() +
               b"@localhost>\r\nDATA\r\nSubject: second\r\n\r\nx\r\n.\r\n")
        queue_id = c.reply().split()[-1]
        assert c.ask("NOOP") == "250 2.0.0 Ok"
    shared.wait_log(f"{queue_id}: removed")
    message = next(m for m in shared.mbox() if m["Subject"] == f"smuggle {marker}")
    assert "MAIL FROM:<evil@example>" in message.get_payload()
    raw = (shared.dir / "mail" / USER).read_bytes()
    assert b"\r" not in raw and b"\0" not in raw


@pytest.mark.parametrize("garbage", [b"\x00" * 1000, b"\xff\xfe\r\n" * 30, b"\r\n" * 50, b"A" * 100000,
                                     b"GET / HTTP/1.1\r\n\r\n", b"EHLO \x00\r\nMAIL FROM:<\x01>\r\n",
                                     b"DATA\r\n.\r\n.\r\n", b"\x16\x03\x01\x02\x00\x01\x00"],
                         ids=["NULs", "no ASCII", "empty lines", "a long line", "HTTP", "controls", "DATA first", "TLS"])
def test_garbage_costs_only_its_own_session(shared, garbage):
    with session(shared):
        before = {p for p in shared.processes() if p[0].startswith("127")}
    with RawClient(shared.port) as c:
        c.reply()
        try:
            c.send(garbage)
            c.socket.shutdown(socket.SHUT_WR)
            while c.file.read(65536):
                pass
        except OSError:
            pass
    with session(shared) as c:
        assert c.ask("NOOP") == "250 2.0.0 Ok"
    assert before and before <= set(shared.processes())


def test_log_lines_of_a_session(shared):
    queue_id = shared.deliver(sender="log@example.com")
    lines = "\n".join(line for line in shared.lines() if queue_id in line)
    for pattern in (rf"postfix/smtpd\[\d+\]: {queue_id}: client=localhost\[127.0.0.1\]$",
                    rf"postfix/cleanup\[\d+\]: {queue_id}: message-id=<\S+>$",
                    rf"postfix/qmgr\[\d+\]: {queue_id}: from=<log@example.com>, size=\d+, nrcpt=1 \(queue active\)$",
                    rf"postfix/local\[\d+\]: {queue_id}: to=<{USER}@localhost>, relay=local, delay=\S+, "
                    r"delays=\S+/\S+/\S+/\S+, dsn=2.0.0, status=sent \(delivered to mailbox\)$",
                    rf"postfix/qmgr\[\d+\]: {queue_id}: removed$"):
        assert re.search(pattern, lines, re.M), f"{pattern}\n{lines}"
    shared.wait_log(r"smtpd\[\d+\]: disconnect from localhost\[127.0.0.1\] ehlo=1 mail=1 rcpt=1 data=1 "
                    r"quit=1 commands=5$")


def test_a_lost_connection_is_logged(shared):
    with session(shared) as c:
        c.ask("MAIL FROM:<>")
    shared.wait_log(r"lost connection after MAIL from localhost\[127.0.0.1\]$")


def test_a_slow_client_meets_a_time_out(make_instance):
    instance = make_instance(smtpd_timeout="2s").start()
    with session(instance) as c:
        assert c.reply().startswith("421 4.4.2")
    instance.wait_log(r"timeout after EHLO from localhost\[127.0.0.1\]$")


def mail_to_us(client, sender="<>"):
    """Up to DATA's 354."""
    assert client.ask(f"MAIL FROM:{sender}").startswith("250")
    assert client.ask(f"RCPT TO:<{USER}@localhost>").startswith("250")
    assert client.ask("DATA").startswith("354")


@pytest.fixture(scope="module")
def stranger():
    """Loopback is not one of its networks; each line names the client's port."""
    with an_instance(mynetworks="192.0.2.0/24", smtpd_client_port_logging="yes", smtpd_error_sleep_time="0",
                     smtpd_timeout="2s", message_size_limit="1000", smtpd_junk_command_limit="3",
                     smtpd_hard_error_limit="4", smtpd_client_connection_count_limit="3",
                     smtpd_forbid_bare_newline="reject", smtpd_min_data_rate="1000") as instance:
        yield instance


HELLO = b"EHLO client.example\r\n"
TO_US = b"RCPT TO:<" + USER.encode() + b"@localhost>\r\n"
OPEN = [HELLO, b"MAIL FROM:<a@b.example>\r\n", TO_US, b"DATA\r\n"]


@pytest.mark.parametrize("steps, replies, lines", [
    # What no SMTP client says.
    ([b"GET / HTTP/1.1\r\n"], ["521 5.5.1"], ["warning: non-SMTP command from PEER: GET / HTTP/1.1",
                                             "disconnect from PEER unknown=0/1 commands=0/1"]),
    ([b"\x16\x03\x01\x02\x00\x01\x00"], ["521 5.5.1"], ["warning: non-SMTP command from PEER: ???????"]),
    ([b"\0\0QUIT\r\n"], ["521 5.5.1"], ["warning: non-SMTP command from PEER: ??QUIT"]),
    ([b"<html>\r\n"], ["521 5.5.1"], ["warning: non-SMTP command from PEER: <html>"]),
    # Out of turn.
    ([HELLO + b"MAIL FROM:<\x01\\>\r\n"], ["554 5.5.0 Error: SMTP protocol synchronization"],
     ["improper command pipelining after EHLO from PEER: MAIL FROM:<\\001\\\\>\\r\\n",
      "disconnect from PEER ehlo=0/1 commands=0/1"]),
    ([b"HELO x\r\n", b"MAIL FROM:<>\r\nRCPT TO:<x>\r\n"], ["250", "554 5.5.0"],
     ["improper command pipelining after MAIL from PEER: RCPT TO:<x>\\r\\n"]),
    (OPEN[:3] + [b"DATA\r\nbody\r\n.\r\n"], ["250", "250", "250", "554 5.5.0"],
     ["improper command pipelining after DATA from PEER: body\\r\\n.\\r\\n"]),
    # Without measure.
    ([b"A" * 2049 + b"\r\n", b"QUIT\r\n"], ["500 5.5.2 HOST Error: command too long", "221"],
     [f"warning: PEER: request longer than 2048: {'A' * 30}...", "disconnect from PEER quit=1 unknown=0/1 commands=1/2"]),
    ([b"A" * 3000000], ["421 4.7.0 HOST Error: command too long"], ["disconnect from PEER unknown=0/1 commands=0/1"]),
    ([b"MAIL FROM:<> SIZE=1001\r\n", b"QUIT\r\n"], ["552 5.3.4 Message size exceeds fixed limit", "221"],
     ["NOQUEUE: reject: MAIL from PEER: 552 5.3.4 Message size exceeds fixed limit; proto=SMTP"]),
    ([HELLO] + [b"RSET\r\n"] * 7, ["250"] * 7 + ["421 4.7.0 HOST Error: too many errors"],
     ["too many errors after RSET from PEER", "disconnect from PEER ehlo=1 rset=6 commands=7"]),
    ([b"FOO\r\n"] * 4, ["500 5.5.2 Error: command not recognized"] * 4 + ["421"],
     ["too many errors after UNKNOWN from PEER", "disconnect from PEER unknown=0/4 commands=0/4"]),
    # Refusals name the null sender too, and count.
    ([HELLO, b"MAIL FROM:<>\r\n", b"RCPT TO:<x@elsewhere.example>\r\n", b"DATA\r\n", b"QUIT\r\n"],
     ["250", "250", "454 4.7.1", "554 5.5.1 Error: no valid recipients", "221"],
     ["NOQUEUE: reject: RCPT from PEER: 454 4.7.1 <x@elsewhere.example>: Relay access denied; from=<> "
      "to=<x@elsewhere.example> proto=ESMTP helo=<client.example>",
      "disconnect from PEER ehlo=1 mail=1 rcpt=0/1 data=0/1 quit=1 commands=3/5"]),
    ([HELLO, b"MAIL FROM:<> SIZE=1 SIZE=2\r\n", b"MAIL FROM:<> BODY=7BIT BODY=8BITMIME\r\n", b"QUIT\r\n"],
     ["250", "501 5.5.4", "501 5.5.4", "221"], []),
    ([b"EHLO a\0\x1bb\r\n", b"MAIL FROM:<>\r\n", b"RCPT TO:<x@elsewhere.example>\r\n", b"QUIT\r\n"],
     ["250", "250", "454", "221"], ["proto=ESMTP helo=<a??b>"]),
    # The end of a session.
    ([], [], ["lost connection after CONNECT from PEER", "disconnect from PEER commands=0/0"]),
    (OPEN + [b"12345\r\n"], ["250"] * 3 + ["354"],
     ["lost connection after DATA (7 bytes) from PEER",
      "disconnect from PEER ehlo=1 mail=1 rcpt=1 data=0/1 commands=3/4"]),
    (OPEN + [b"Subject: x\r\n\r\n.\r\n"], ["250"] * 3 + ["354", "250 2.0.0 Ok: queued as "],
     ["disconnect from PEER ehlo=1 mail=1 rcpt=1 data=1 commands=4"]),
    # A bare LF, where it is refused.
    ([b"NOOP\n", b"QUIT\r\n"], ["550 5.5.2 HOST Error: bare <LF> received", "221"],
     ["NOQUEUE: reject: UNKNOWN from PEER: 550 5.5.2 HOST Error: bare <LF> received; proto=SMTP"]),
    (OPEN + [b"x\n.\r\nMAIL FROM:<>\r\n.\r\n"], ["250"] * 3 + ["354", "550 5.5.2 HOST Error: bare <LF> received"],
     [f"QID: reject: END-OF-MESSAGE from PEER: 550 5.5.2 HOST Error: bare <LF> received; from=<a@b.example> "
      f"to=<{USER}@localhost> proto=ESMTP helo=<client.example>"]),
    (OPEN + [b"x\r.\r\n.\r\n"], ["250"] * 3 + ["354", "550 5.5.2 HOST Error: bare <CR> received"], []),
    # The size limit, to the byte, without what only the wire adds.
    (OPEN + [b"\r\n" + b"..x\r\n" * 249 + b"..\r\n.\r\n"], ["250"] * 3 + ["354", "552 5.3.4"], []),
    (OPEN + [b"\r\n" + b"..x\r\n" * 249 + b"\r\n.\r\n"], ["250"] * 3 + ["354", "250"], []),
])
def test_a_session_to_the_byte(stranger, steps, replies, lines):
    """One piece, one reply; then the client goes. HOST, PEER and QID stand for what differs."""
    with RawClient(stranger.port) as c:
        port = c.socket.getsockname()[1]
        host = c.reply().split()[1]
        for i, expected in enumerate(replies):
            if i < len(steps):
                c.send(steps[i])
            assert c.reply().startswith(expected.replace("HOST", host)), (i, expected)
        for step in steps[len(replies):]:
            c.send(step)
    peer = f"localhost[127.0.0.1]:{port}"
    stranger.wait_log(r"disconnect from " + re.escape(peer))
    log = [line.split("]: ", 1)[1] for line in stranger.lines() if peer in line]
    for line in lines:
        pattern = re.escape(line.replace("PEER", peer).replace("HOST", host)).replace("QID", r"\w{12,}")
        assert any(re.search(pattern + "$", found) for found in log), f"{line}\n" + "\n".join(log)
    if not any(" after " in line for line in lines):
        assert not any(re.search(r"(lost connection|timeout) after", found) for found in log), log


def test_talk_before_the_greeting_is_not_heard(stranger):
    """The bytes lie there before the server can accept: it stands still while the client connects."""
    with session(stranger) as first:
        pids = [pid for name, pid in stranger.processes() if name.endswith(str(stranger.port))]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        with RawClient(stranger.port) as c:
            c.send(HELLO)
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
            assert c.reply() == "554 5.5.0 Error: SMTP protocol synchronization"
        stranger.wait_log(r"improper command pipelining after CONNECT from \S+: EHLO client.example\\r\\n$")
        assert first.ask("QUIT").startswith("221")


def test_a_dismissed_client_that_talks_on_sees_an_orderly_end(stranger):
    with RawClient(stranger.port) as c:
        assert c.reply().startswith("220")
        c.send(b"\x16" + b"x" * 200000)
        assert c.reply().startswith("521 5.5.1")
        assert c.reply() == "", "closed before all was read, so the connection was reset"


def test_sessions_from_one_address_are_limited(stranger):
    clients = [session(stranger) for _ in range(3)]
    with RawClient(stranger.port) as c:
        assert re.fullmatch(r"421 4.7.0 \S+ Error: too many connections from 127.0.0.1", c.reply())
        assert c.reply() == ""
    for c in clients:
        assert c.ask("QUIT").startswith("221")
        c.__exit__()
    stranger.wait_log(r"warning: Connection concurrency limit exceeded: 4 from localhost\[127.0.0.1\]:\d+ for service \S+$")


def test_a_drip_of_content_meets_the_deadline(stranger):
    """2 s for a message, and a second more for each 1,000 bytes: a byte now and then does not win time."""
    with session(stranger) as c:
        port = c.socket.getsockname()[1]
        started = time.monotonic()
        mail_to_us(c)
        c.socket.settimeout(0.2)
        sent = 0
        told = False
        while not told and time.monotonic() < started + 20:
            c.send(b"x")
            sent += 1
            with contextlib.suppress(TimeoutError):
                told = c.socket.recv(100).startswith(b"421 4.4.2")
        assert told and time.monotonic() - started >= 2
    line = stranger.wait_log(rf"timeout after DATA \(\d+ bytes\) from \S+:{port}$")[0]
    taken = int(re.search(r"\((\d+) bytes", line).group(1))
    assert 0 < taken <= sent, "what left after the deadline, and before its reply was read, is not counted"


def test_many_messages_in_one_session(stranger):
    """RSET between messages is no junk: each message that is taken starts anew."""
    with session(stranger) as c:
        for _ in range(5):
            assert c.ask("RSET").startswith("250")
            assert c.ask("RSET").startswith("250")
            mail_to_us(c)
            assert c.ask("\r\n.").startswith("250")


@pytest.mark.parametrize("when", ["in the content", "behind the final dot"])
def test_a_client_that_is_reset(stranger, when):
    """In the content: no message. Behind the dot: one, and the log says that nobody heard of it."""
    c = session(stranger)
    port = c.socket.getsockname()[1]
    subject = f"reset {when} {time.monotonic()}"
    mail_to_us(c)
    queue_id = re.search(r": (\w+): client", stranger.wait_log(rf": client=\S+:{port}$")[0]).group(1)
    c.send(f"Subject: {subject}\r\n\r\n".encode())
    qmgr = next(pid for name, pid in stranger.processes() if name == "qmgr")
    behind = when == "behind the final dot"
    if behind:
        os.kill(qmgr, signal.SIGSTOP)
        c.send(b".\r\n")
        stranger.wait_log(f"{queue_id}: message-id=")
    c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    c.__exit__()
    if behind:
        os.kill(qmgr, signal.SIGCONT)
        stranger.wait_log(rf"smtpd\[\d+\]: {queue_id}: reply-lost: .*:{port}\b")
        stranger.wait_log(f"{queue_id}: removed")
    else:
        stranger.wait_log(rf"lost connection after DATA \(\d+ bytes\) from \S+:{port}$")
        stranger.deliver()
    assert [m["Subject"] for m in stranger.mbox()].count(subject) == behind
