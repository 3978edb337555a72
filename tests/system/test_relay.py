# SPDX-License-Identifier: ISC
"""Mail for other hosts: what arrives there, over how many connections, and what is logged of it."""

import os
import re
import socket
import threading

import pytest
from conftest import BIN, free_port, wait_until
from sink import Session, Sink


@pytest.fixture
def relay(make_instance):
    def make(sink, **settings):
        settings.setdefault("default_transport", f"smtp:[127.0.0.1]:{sink if isinstance(sink, int) else sink.port}")
        return make_instance(**settings).start()

    return make


def body_of(content):
    return content.split(b"\r\n\r\n", 1)[1]


def test_a_message_arrives(relay):
    with Sink() as sink:
        instance = relay(sink)
        queue_id = instance.deliver("Subject: hello\r\n\r\nbody\r\n", to="r@remote.example")
    (mail, rcpts, content), = sink.messages
    assert re.fullmatch(r"MAIL FROM:<sender@example.com> SIZE=\d+", mail)
    assert rcpts == ["RCPT TO:<r@remote.example>"]
    assert content.startswith(b"Received: from ") and b"Subject: hello\r\n" in content and body_of(content) == b"body\r\n"
    assert instance.wait_log(
        rf"/smtp\[\d+\]: {queue_id}: to=<r@remote.example>, relay=127.0.0.1\[127.0.0.1\]:{sink.port}, delay=[\d.]+, "
        r"delays=[\d./]+, dsn=2.0.0, status=sent \(250 2.0.0 Ok: queued as 1\)$")


def texts_of(sink):
    return sorted(body_of(content) for _, _, content in sink.messages)


BODIES = {
    "eight bit": "na\u00efve \u2014 \u00fc".encode() + b"\r\n\xff\xfe\r\n",
    "dots": b".\r\n..\r\n.a\r\na.\r\n\r\n.\r\n",
    "empty": b"",
    "one line": b"x\r\n",
    "long line": b"y" * 60000 + b"\r\n.\r\n",
    "64 KiB": b"0123456789abcde\n".replace(b"\n", b"\r\n") * 3855,
    "3 MiB": b".line of a large message, with a dot before it\r\n" * 65536,
}


def test_content_arrives_byte_for_byte(relay):
    def dotted(body):
        return re.sub(rb"(?m)^\.", b"..", body)

    with Sink() as sink:
        instance = relay(sink)
        for body in BODIES.values():
            with instance.smtp() as client:
                client.ehlo("client.example")
                client.mail("sender@example.com", ["BODY=8BITMIME"])
                client.rcpt("r@remote.example")
                assert client.docmd("DATA")[0] == 354
                client.send(b"Subject: x\r\n\r\n" + dotted(body) + b".\r\n")
                assert client.getreply()[0] == 250
        instance.wait_log("status=sent", len(BODIES))
    assert texts_of(sink) == sorted(dotted(body) for body in BODIES.values())
    assert all(" BODY=8BITMIME" in mail for mail, _, _ in sink.messages)
    for mail, _, content in sink.messages:
        assert int(re.search(r"SIZE=(\d+)", mail).group(1)) == len(content)


def send_many(instance, count, to="r@remote.example"):
    with instance.smtp() as client:
        for i in range(count):
            client.sendmail("sender@example.com", [to], f"Subject: {i}\r\n\r\n{i}\r\n")


def test_five_messages_share_one_connection(relay):
    with Sink() as sink:
        instance = relay(sink)
        send_many(instance, 5)
        lines = instance.wait_log("status=sent", 5)
        uses = sorted(int((re.search(r"conn_use=(\d+), delay", line) or [0, 1])[1]) for line in lines)
        instance.wait_log("removed", 5)
        assert (sink.connections, uses) == (1, [1, 2, 3, 4, 5])
        assert "RSET" not in sink.commands


def test_many_messages_share_few_connections(relay):
    with Sink() as sink:
        instance = relay(sink)
        send_many(instance, 1000)
        instance.wait_log("removed", 1000)
        assert sink.connections <= 20 and texts_of(sink) == sorted(b"%d\r\n" % i for i in range(1000))


def test_connections_end_when_they_are_idle(relay):
    with Sink() as sink:
        instance = relay(sink, smtp_connection_cache_time_limit="1s")
        instance.deliver(to="r@remote.example")
        wait_until("QUIT", lambda: "QUIT" in sink.commands)
        instance.deliver(to="r@remote.example")
        assert sink.connections == 2


@pytest.mark.parametrize("setting", ["smtp_connection_cache_on_demand=no", "smtp_connection_reuse_count_limit=1"])
def test_connections_for_one_message(relay, setting):
    with Sink() as sink:
        instance = relay(sink, **dict([setting.split("=")]))
        send_many(instance, 3)
        instance.wait_log("removed", 3)
        assert sink.connections == 3


def test_a_server_that_is_away_gets_it_later(relay):
    port = free_port()
    instance = relay(port, minimal_backoff_time="1s", queue_run_delay="1s")
    queue_id = instance.send(to="r@remote.example")
    peer = rf"127.0.0.1\[127.0.0.1\]:{port}"
    instance.wait_log(rf"/smtp\[\d+\]: connect to {peer}: Connection refused$")
    instance.wait_log(rf"{queue_id}: to=<r@remote.example>, relay=none, .*dsn=4.4.1, status=deferred "
                      rf"\(connect to {peer}: Connection refused\)")
    with Sink(port=port) as sink:
        instance.wait_log(f"{queue_id}: removed")
        assert len(sink.messages) == 1


class CloseAfterMessage(Session):
    """Leaves without a word when a message is done."""

    def answer(self, word, command):
        super().answer(word, command)
        if word == "DATA":
            self.sink.done = True
            raise ConnectionError


class GoodByeAfterMessage(Session):
    def answer(self, word, command):
        super().answer(word, command)
        if word == "DATA":
            self.say("421 4.3.2 going down\r\n")
            raise ConnectionError


class CloseAtSecondMail(Session):
    """The worst moment: after the client has looked."""

    def answer(self, word, command):
        if word == "MAIL" and self.mail:
            raise ConnectionError
        super().answer(word, command)


class GoodByeAtSecondMail(Session):
    def answer(self, word, command):
        if word == "MAIL" and self.mail:
            self.say("421 4.3.2 idle for too long\r\n")
            raise ConnectionError
        super().answer(word, command)


@pytest.mark.parametrize("session", [CloseAfterMessage, GoodByeAfterMessage, CloseAtSecondMail, GoodByeAtSecondMail])
def test_a_connection_that_died_while_it_was_idle(relay, session):
    """Each message once, and none waits for a second attempt."""
    with Sink(session=session) as sink:
        instance = relay(sink)
        for i in range(4):
            instance.deliver(f"Subject: x\r\n\r\n{i}\r\n", to="r@remote.example")
        send_many(instance, 20)
        instance.wait_log("removed", 24)
    assert texts_of(sink) == sorted(b"%d\r\n" % i for i in [0, 1, 2, 3, *range(20)])
    assert not [line for line in instance.lines() if "status=deferred" in line]


class RefuseSome(Session):
    def answer(self, word, command):
        if word == "RCPT" and "no" in command:
            self.say("550-5.1.1 nobody\r\n550 5.1.1 here\r\n")
        elif word == "RCPT" and "later" in command:
            self.say("450 4.2.0 busy\r\n")
        else:
            super().answer(word, command)


def test_each_recipient_has_its_own_answer(relay):
    with Sink(session=RefuseSome) as sink:
        instance = relay(sink)
        # From nobody, so that no notice goes over the same connection.
        queue_id = instance.send(sender="", to=["yes@remote.example", "no@remote.example", "later@remote.example",
                                                "too@remote.example"])
        instance.wait_log(rf"{queue_id}: to=<no@remote.example>, relay=127.0.0.1.*, dsn=5.1.1, status=bounced \(host "
                          r"127.0.0.1\[127.0.0.1\] said: 550-5.1.1 nobody 550 5.1.1 here "
                          r"\(in reply to RCPT TO command\)\)")
        instance.wait_log(rf"{queue_id}: to=<later@remote.example>.*dsn=4.2.0, status=deferred \(host .* said: 450 4.2.0 "
                          r"busy \(in reply to RCPT TO command\)\)")
        instance.wait_log(rf"{queue_id}: to=<(yes|too)@remote.example>.*status=sent", 2)
        assert len(sink.messages) == 1 and len(sink.messages[0][1]) == 2
        # Also over the connection that is open now.
        queue_id = instance.send(sender="", to=["yes@remote.example", "no@remote.example"])
        instance.wait_log(rf"{queue_id}: to=<no@.*conn_use=2,.*bounced")
        instance.wait_log(rf"{queue_id}: to=<yes@.*conn_use=2,.*sent")
        assert sink.connections == 1


def test_a_transaction_that_stopped_is_reset(relay):
    with Sink(session=RefuseSome) as sink:
        instance = relay(sink, default_destination_concurrency_limit="1")
        # From nobody, so that no notice goes over the same connection.
        instance.deliver(sender="", to="no@remote.example")
        instance.deliver(sender="", to="yes@remote.example")
        assert sink.connections == 1 and sink.commands.count("RSET") == 1 and len(sink.messages) == 1


def test_more_recipients_than_a_group_holds(relay):
    names = [f"{'x' * 60}{i}@remote.example" for i in range(250)]
    with Sink() as sink:
        instance = relay(sink, default_destination_recipient_limit="1000", smtpd_recipient_limit="1000")
        instance.deliver(to=names)
        assert sorted(r for _, rcpts, _ in sink.messages for r in rcpts) == sorted(f"RCPT TO:<{n}>" for n in names)


def test_the_next_host_is_tried(relay):
    """What one host can't take now, the next one may; what it refuses, it doesn't."""

    class Busy(Session):
        def run(self):
            self.say("554 5.3.2 busy\r\n")

    dead = free_port()
    with Sink(session=Busy) as busy, Sink(session=RefuseSome) as some, Sink() as good:
        hops = ", ".join(f"[127.0.0.1]:{port}" for port in (dead, busy.port, some.port, good.port))
        instance = relay(good, default_transport="smtp", relayhost=hops)
        queue_id = instance.send(to=["a@x.example", "no@x.example", "later@x.example"])
        instance.wait_log(rf"{queue_id}: to=<later@x.example>, relay=127.0.0.1.127.0.0.1.:{good.port}, .*status=sent")
        instance.wait_log(rf"{queue_id}: to=<a@x.example>, relay=127.0.0.1.127.0.0.1.:{some.port}, .*status=sent")
        instance.wait_log(rf"{queue_id}: to=<no@x.example>, relay=127.0.0.1.127.0.0.1.:{some.port}, .*status=bounced")
        instance.wait_log(rf"smtp.*: {queue_id}: host 127.0.0.1\[127.0.0.1\] refused to talk to me: 554 5.3.2 busy$")
        instance.wait_log(rf"smtp.*: {queue_id}: host .* said: 450 4.2.0 busy \(in reply to RCPT TO command\)$")
        assert (busy.connections, len(some.messages), len(good.messages)) == (1, 1, 1)


def test_a_next_hop_that_is_ourselves(relay):
    """Alone it is an error; beside another that may do, it ends nothing."""
    loop = "[127.0.0.1]:25"
    with Sink(session=RefuseSome) as sink:
        good = f"[127.0.0.1]:{sink.port}"
        instance = relay(sink, transport_maps=f"inline:{{ {{a.example = smtp:{loop}}}, {{b.example = smtp:{loop} {good}}}, "
                                              f"{{c.example = smtp:{good} {loop}}} }}")
        queue_id = instance.send(to=["r@a.example", "r@b.example", "later@c.example"])
        instance.wait_log(rf"{queue_id}: to=<r@a.example>, relay=none, .*dsn=5.4.6, status=bounced "
                          r"\(mail for 127.0.0.1 loops back to myself\)")
        instance.wait_log(rf"{queue_id}: to=<r@b.example>, .*status=sent")
        instance.wait_log(rf"{queue_id}: to=<later@c.example>, .*status=deferred \(host .* said: 450 4.2.0 busy")


def test_a_fallback_relay(relay):
    with Sink() as sink:
        instance = relay(free_port(), smtp_fallback_relay=f"[127.0.0.1]:{sink.port}")
        instance.deliver(to="r@remote.example")
        assert len(sink.messages) == 1


def test_ipv6(relay):
    try:
        sink = Sink(family=socket.AF_INET6, address=("::1", 0))
    except OSError:
        pytest.skip("there is no IPv6 here")
    with sink:
        instance = relay(sink, default_transport=f"smtp:[::1]:{sink.port}")
        instance.deliver(to="r@remote.example")
        instance.wait_log(rf"relay=::1\[::1\]:{sink.port}, .*status=sent")


class LmtpSome(Session):
    """A recipient that is full is known only when the message is there."""

    def answer(self, word, command):
        if word == "EHLO" or word == "HELO":
            self.say("500 5.5.1 LHLO\r\n")
        elif word != "DATA":
            super().answer(word, command)
        else:
            self.say("354 go on\r\n")
            self.sink.messages.append((self.mail, self.rcpts, self.content()))
            for rcpt in self.rcpts:
                self.say("452 4.2.2 <full> over quota\r\n" if "full" in rcpt else
                         "550 5.7.1 no\r\n" if "never" in rcpt else "250 2.1.5 stored\r\n")


def test_lmtp_answers_for_each_recipient(relay):
    with Sink(session=LmtpSome, lmtp=True) as sink:
        instance = relay(sink, default_transport=f"lmtp:inet:127.0.0.1:{sink.port}")
        queue_id = instance.send(to=["a@x.example", "full@x.example", "never@x.example", "b@x.example"])
        instance.wait_log(rf"/lmtp\[\d+\]: {queue_id}: to=<[ab]@.*, relay=127.0.0.1\[127.0.0.1\]:{sink.port}, .*"
                          r"status=sent \(250 2.1.5 stored\)", 2)
        instance.wait_log(rf"{queue_id}: to=<full@.*dsn=4.2.2, status=deferred \(host 127.0.0.1\[127.0.0.1\] said: 452 "
                          r"4.2.2 <full> over quota \(in reply to end of DATA command\)\)")
        instance.wait_log(rf"{queue_id}: to=<never@.*dsn=5.7.1, status=bounced")
        assert len(sink.messages) == 1


@pytest.mark.skipif(not (BIN / "dialer").exists(), reason="without dialer nobody may connect to a path")
def test_lmtp_to_a_unix_socket(relay, workspace):
    path = str(workspace / "lmtp")
    with Sink(family=socket.AF_UNIX, address=path, lmtp=True) as sink:
        os.chmod(path, 0o777)
        instance = relay(0, default_transport=f"lmtp:unix:{path}", myhostname="store.example",
                         lmtp_connection_cache_time_limit="60s")
        send_many(instance, 3, to="r@x.example")
        instance.wait_log(rf"relay=store.example\[{path}\], .*status=sent", 3)
        assert len(sink.messages) == 3 and sink.connections == 1


class Hesitate(Session):
    """Asked for the content, it waits for a word of the test."""

    def say(self, text):
        if text.startswith("354"):
            self.sink.asked.set()
            self.sink.go.wait(60)
        super().say(text)


def test_without_a_queue_manager_no_message_is_finished(relay):
    """It waits for the next one right before the final dot."""
    with Sink(session=Hesitate) as sink:
        sink.asked, sink.go = threading.Event(), threading.Event()
        instance = relay(sink, minimal_backoff_time="1s", queue_run_delay="1s")
        queue_id = instance.send(to="r@remote.example")
        assert sink.asked.wait(60)
        os.kill(dict(instance.processes())["qmgr"], 9)
        instance.wait_log("1 messages are in the queue")
        sink.go.set()
        instance.wait_log(f"{queue_id}: to=.*status=sent")
        instance.wait_log(f"{queue_id}: removed")
        assert sink.connections == 1
        assert len(sink.messages) == 1


def test_a_reload_waits_for_no_server_and_cuts_no_delivery(relay):
    with Sink(session=Hesitate) as slow, Sink() as quick:
        slow.asked, slow.go = threading.Event(), threading.Event()
        instance = relay(quick, transport_maps=f"inline:{{ {{slow.example = smtp:[127.0.0.1]:{slow.port}}} }}")
        queue_id = instance.send(to="r@slow.example")
        assert slow.asked.wait(60)
        before = dict(instance.processes())["qmgr"]
        instance.gatepost("reload")
        wait_until("the successor", lambda: dict(instance.processes()).get("qmgr") not in (None, before))
        instance.deliver(to="r@quick.example")
        slow.go.set()
        instance.wait_log(f"{queue_id}: to=.*status=sent")
        instance.wait_log(f"{queue_id}: removed")
        assert (slow.connections, len(slow.messages), len(quick.messages)) == (1, 1, 1)


HELLOS = [
    ({}, ["EHLO us.example", "MAIL FROM:<sender@example.com> SIZE=N"]),
    ({"smtp_helo_name": "other.example"}, ["EHLO other.example", "MAIL FROM:<sender@example.com> SIZE=N"]),
    ({"smtp_never_send_ehlo": "yes"}, ["HELO us.example", "MAIL FROM:<sender@example.com>"]),
    ({"smtp_always_send_ehlo": "no"}, ["EHLO us.example", "MAIL FROM:<sender@example.com> SIZE=N"]),
    ({"smtp_discard_ehlo_keywords": "size, pipelining"}, ["EHLO us.example", "MAIL FROM:<sender@example.com>"]),
]


@pytest.mark.parametrize("settings,said", HELLOS, ids=lambda v: next(iter(v), "default") if isinstance(v, dict) else "")
def test_settings_of_the_dialogue(relay, settings, said):
    with Sink() as sink:
        relay(sink, myhostname="us.example", **settings).deliver(to="r@remote.example")
    heard = [re.sub(r"SIZE=\d+", "SIZE=N", command) for command in sink.commands]
    assert heard[:4] == [*said, "RCPT TO:<r@remote.example>", "DATA"]


def test_a_greeting_may_be_final(relay):
    class Never(Session):
        def run(self):
            self.say("554 5.7.1 never\r\n")

    with Sink(session=Never) as sink:
        instance = relay(sink, smtp_skip_5xx_greeting="no")
        queue_id = instance.send(to="r@remote.example")
        instance.wait_log(rf"{queue_id}: to=.*relay=127.0.0.1\[127.0.0.1\]:{sink.port}, .*dsn=5.7.1, status=bounced "
                          r"\(host 127.0.0.1\[127.0.0.1\] refused to talk to me: 554 5.7.1 never\)")


def test_the_answer_to_quit_can_be_waited_for(relay):
    with Sink() as sink:
        instance = relay(sink, smtp_skip_quit_response="no", smtp_connection_cache_on_demand="no")
        send_many(instance, 3)
        instance.wait_log("removed", 3)
        wait_until("each good-bye", lambda: sink.commands.count("QUIT") == 3 and not sink.open)


def test_a_reload_repeats_nothing(relay):
    with Sink() as sink:
        instance = relay(sink)
        for _ in range(3):
            send_many(instance, 30)
            instance.gatepost("reload")
        instance.wait_log("removed", 90)
        assert texts_of(sink) == sorted([b"%d\r\n" % i for i in range(30)] * 3)
        assert not [line for line in instance.lines() if "status=deferred" in line]


def test_transports_have_their_own_settings(relay):
    """-o of an entry of master.cf, and its name in the log."""
    with Sink() as sink:
        instance = relay(free_port(), transport_maps=f"inline:{{ {{x.example = relay:[127.0.0.1]:{sink.port}}} }}")
        path = instance.etc / "master.cf"
        path.write_text(path.read_text().replace("syslog_name=postfix/$service_name",
                                                 "syslog_name=postfix/$service_name -o smtp_helo_name=relay.example"))
        instance.gatepost("reload")
        instance.deliver(to="r@x.example")
        assert sink.commands[0] == "EHLO relay.example"
        instance.wait_log(r"postfix/relay/smtp\[\d+\]: .*status=sent")
