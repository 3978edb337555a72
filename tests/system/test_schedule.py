# SPDX-License-Identifier: ISC
"""Who is delivered when, on a running server: letters beside a list, pauses, a host that is down, a crowd."""

import re
import socket
import threading
import time

from conftest import run, wait_until
from sink import Session, Sink


class Paced(Session):
    """All sessions together take a hundred recipients a second."""

    pace = threading.Lock()

    def answer(self, word, command):
        if word == "RCPT":
            with self.pace:
                time.sleep(0.01)
        super().answer(word, command)


def recipients(sink, of):
    """How many recipients of this domain's users the sink has taken."""
    return sum(f"@{of}>" in command for command in list(sink.commands) if command.startswith("RCPT"))


def test_a_list_of_ten_thousand_does_not_delay_a_letter(make_instance):
    with Sink(session=Paced) as sink:
        instance = make_instance(relayhost=f"[127.0.0.1]:{sink.port}", mydestination="", smtpd_recipient_limit="10000",
                                 smtpd_recipient_overshoot_limit="10000").start()
        names = [f"reader{i}@list.example" for i in range(10000)]
        instance.send(to=names)
        wait_until("the list is under way", lambda: recipients(sink, "list.example") >= 300)
        for turn in range(3):
            before = recipients(sink, "list.example")
            queue_id = instance.send(sender="", to=f"letter{turn}@one.example")
            instance.wait_log(rf"{queue_id}: to=<letter{turn}@one.example>, .*status=sent")
            # At this pace a hundred are a second.
            assert recipients(sink, "list.example") - before < 100
        assert recipients(sink, "list.example") < 5000, "the list was over too soon to tell"


def test_pauses_between_deliveries(make_instance):
    with Sink() as sink:
        instance = make_instance(default_transport=f"smtp:[127.0.0.1]:{sink.port}", smtp_destination_rate_delay="1s",
                                 destination_concurrency_feedback_debug="yes", relayhost="").start()
        begin = time.monotonic()
        ids = [instance.send(sender="", to=f"r{i}@pause.example") for i in range(3)]
        for queue_id in ids:
            instance.wait_log(rf"{queue_id}: .*status=sent")
        assert time.monotonic() - begin >= 2
        assert len(sink.messages) == 3
        instance.wait_log(rf"smtp: \[127.0.0.1\]:{sink.port} success: concurrency 1.00 of 1, 0 under way")


def test_pauses_of_a_transport(make_instance):
    with Sink() as sink, Sink() as other:
        instance = make_instance(transport_maps=f"inline:{{ {{a.example = smtp:[127.0.0.1]:{sink.port}}}, "
                                 f"{{b.example = smtp:[127.0.0.1]:{other.port}}} }}",
                                 smtp_transport_rate_delay="1s").start()
        begin = time.monotonic()
        for queue_id in [instance.send(sender="", to=f"r@{domain}.example") for domain in "abab"]:
            instance.wait_log(rf"{queue_id}: .*status=sent")
        assert time.monotonic() - begin >= 3
        assert (len(sink.messages), len(other.messages)) == (2, 2)


class Closed:
    """A host that takes no mail: it counts who comes, and closes."""

    def __init__(self):
        self.connections = 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            connection.close()


def send_many(instance, count, domain):
    """In one session, without waiting for each answer."""
    with instance.raw() as client:
        client.hello()
        for i in range(count):
            client.send(f"MAIL FROM:<>\r\nRCPT TO:<r{i}@{domain}>\r\nDATA\r\n".encode())
            assert [client.reply()[:3] for _ in range(3)] == ["250", "250", "354"]
            assert client.ask("Subject: x\r\n\r\nx\r\n.").startswith("250")


def test_a_dead_host_costs_few_attempts_and_no_room(make_instance):
    count = 2000
    closed = Closed()
    with Sink() as sink:
        instance = make_instance(
            transport_maps=f"inline:{{ {{dead.example = smtp:[127.0.0.1]:{closed.port}}}, "
                           f"{{live.example = smtp:[127.0.0.1]:{sink.port}}} }}",
            qmgr_message_active_limit="400", smtpd_client_message_rate_limit="0").start()
        send_many(instance, count, "dead.example")
        queue_id = instance.send(sender="", to="r@live.example")
        instance.wait_log(rf"{queue_id}: .*status=sent")
        instance.wait_log(r": to=<r\d+@dead.example>, .*status=deferred", count)
        # Until it was known to be dead; each attempt tries a host once.
        assert 1 <= closed.connections <= 20
        suspended = len(re.findall(r"delivery temporarily suspended: ", instance.log.read_text()))
        assert suspended >= count - 20
        assert len(sink.messages) == 1


class Hanging(Session):
    """Says nothing until it may."""

    def run(self):
        self.sink.hanging.append(self)
        self.sink.go_on.wait(60)
        super().run()


def test_a_host_that_hangs_leaves_room_for_others(make_instance):
    """More mail than the active queue holds waits for it; the rest of the mail goes out meanwhile."""
    with Sink(session=Hanging) as hanging, Sink() as sink:
        hanging.hanging, hanging.go_on = [], threading.Event()
        instance = make_instance(
            transport_maps=f"inline:{{ {{hangs.example = smtp:[127.0.0.1]:{hanging.port}}}, "
                           f"{{live.example = smtp:[127.0.0.1]:{sink.port}}} }}",
            qmgr_message_active_limit="100", smtpd_client_message_rate_limit="0").start()
        send_many(instance, 500, "hangs.example")
        wait_until("sessions with the host that hangs", lambda: hanging.hanging)
        for i in range(5):
            queue_id = instance.send(sender="", to=f"r{i}@live.example")
            instance.wait_log(rf"{queue_id}: .*status=sent")
        assert not hanging.messages and len(hanging.hanging) <= 20
        hanging.go_on.set()
        run("postqueue", "-c", instance.etc, "-f")
        wait_until("all of it", lambda: len(hanging.messages) == 500)
