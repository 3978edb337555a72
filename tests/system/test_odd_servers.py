# SPDX-License-Identifier: ISC
"""Servers that break the rules: none of it may lose a message, or make two of one."""

import os
import signal
import threading

import pytest
from conftest import wait_until
from sink import Session, Sink


def send_to(make_instance, *sinks, **settings):
    """The log line of a message for which these hosts are tried in turn, after the first attempt."""
    hosts = ", ".join(f"[127.0.0.1]:{sink.port}" for sink in sinks)
    instance = make_instance(default_transport=f"smtp:{hosts}", **settings).start()
    queue_id = instance.send(to="r@remote.example")
    return instance, instance.wait_log(rf"{queue_id}: to=<r@remote.example>.*status=")[0]


class AskForMore(Session):
    """Has the message, and says what nobody says to a final dot."""

    def say(self, text):
        super().say("354 more\r\n" if "queued as" in text else text)


def test_an_answer_to_the_dot_that_means_nothing(make_instance):
    with Sink(session=AskForMore) as first, Sink() as second:
        _, line = send_to(make_instance, first, second)
        assert "dsn=4.5.0, status=deferred (protocol error with" in line and 'got "354 more")' in line
        assert "more than once" in line
        assert (len(first.messages), second.messages) == (1, [])


class AnswerFirst(Session):
    """Answers before there is anything to answer, and then goes."""

    early = "250 2.0.0 Ok\r\n"

    def answer(self, word, command):
        if word != "DATA":
            super().answer(word, command)
            return
        self.say(b"354 go on\r\n" + self.early.encode())
        self.content()
        raise ConnectionError


class RefuseFirst(AnswerFirst):
    early = "552 5.3.4 too large\r\n"


@pytest.mark.parametrize("session, said", [
    (AnswerFirst, 'dsn=4.5.0, status=deferred (protocol error with'),
    (RefuseFirst, "dsn=5.3.4, status=bounced (host 127.0.0.1[127.0.0.1] said: 552 5.3.4 too large (in reply to end of"),
])
def test_an_answer_to_the_dot_before_the_dot(make_instance, session, said):
    """What was said before the dot takes no message."""
    with Sink(session=session) as sink:
        _, line = send_to(make_instance, sink)
        assert said in line


def test_nothing_of_an_address_becomes_a_parameter(make_instance):
    with Sink(keywords=["DSN"]) as sink:
        instance = make_instance(default_transport=f"smtp:[127.0.0.1]:{sink.port}").start()
        with instance.raw() as client:
            client.hello()
            for command in ('MAIL FROM:<"a> SIZE=1"@example.com>', 'RCPT TO:<"b> NOTIFY=NEVER <c"@remote.example>',
                            "DATA"):
                assert client.ask(command)[0] in "23", command
            client.ask("Subject: x\r\n\r\n.")
        instance.wait_log("removed")
        assert [c for c in sink.commands if c[:4] in ("MAIL", "RCPT")] == [
            'MAIL FROM:<"a> SIZE=1"@example.com>', 'RCPT TO:<"b> NOTIFY=NEVER <c"@remote.example>']


class Paint(Session):
    """ESC, C1, BEL, 8 bit, a carriage return, and what looks like a log line."""

    def answer(self, word, command):
        if word == "RCPT":
            self.say(b"550-5.1.1 \x1b[2J\x07\x9b31m\xc2\x9b\xff\rsender\r\n550 5.1.1 x\x00y\r\n")
        else:
            super().answer(word, command)


def test_no_control_byte_comes_through(make_instance):
    with Sink(session=Paint) as sink:
        instance, line = send_to(make_instance, sink)
        assert "said: 550-5.1.1 ?[2J??31m??" in line
        notice = instance.wait_log("removed", 1) and instance.log.read_bytes()
        assert not set(notice) & ({*range(32)} - {10} | {127})


class Wait(Session):
    def answer(self, word, command):
        if word == "MAIL":
            self.sink.proceed.wait(50)
        super().answer(word, command)


def test_a_server_that_takes_too_long_stops_no_others(make_instance):
    """Nothing has died: the message need not be alone with the transport, and what runs still is not run again."""
    with Sink(session=Wait) as slow, Sink() as other:
        slow.proceed = threading.Event()
        instance = make_instance(
            transport_maps=f"inline:{{ {{slow.example = smtp:[127.0.0.1]:{slow.port}}} }}",
            default_transport=f"smtp:[127.0.0.1]:{other.port}", daemon_timeout="1s", minimal_backoff_time="1s",
            maximal_backoff_time="1s", queue_run_delay="1s", smtp_connect_timeout="1s").start()
        queue_id = instance.send(to="r@slow.example")
        instance.wait_log(rf"{queue_id}: .*dsn=4.3.0, status=deferred \(the delivery agent did not answer in time\)", 3)
        instance.deliver(to="r@remote.example")
        assert not [line for line in instance.lines() if "died" in line]
        slow.proceed.set()
        instance.wait_log(f"{queue_id}: removed")
        assert (len(slow.messages), len(other.messages)) == (1, 1)


def test_a_suspect_with_a_slow_server_stops_no_others_for_long(make_instance):
    with Sink(session=Wait) as slow, Sink() as other:
        slow.proceed = threading.Event()
        instance = make_instance(
            transport_maps=f"inline:{{ {{slow.example = smtp:[127.0.0.1]:{slow.port}}} }}",
            default_transport=f"smtp:[127.0.0.1]:{other.port}", minimal_backoff_time="1s", maximal_backoff_time="1s",
            queue_run_delay="1s").start()
        ids = [instance.send(to=f"r{n}@slow.example") for n in range(2)]
        wait_until("both to be under way", lambda: sum("MAIL" in c for c in slow.commands) == 2)
        os.kill(dict(instance.processes())["smtp"], signal.SIGKILL)
        instance.wait_log("died with this message in hand", 2)
        wait_until("one of them again", lambda: sum("MAIL" in c for c in slow.commands) == 3)
        instance.deliver(to="r@remote.example")
        slow.proceed.set()
        for queue_id in ids:
            instance.wait_log(f"{queue_id}: removed")
        assert (len(slow.messages), len(other.messages)) == (2, 1)
