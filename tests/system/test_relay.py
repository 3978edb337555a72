# SPDX-License-Identifier: ISC
"""Mail for other hosts: what arrives there, over how many connections, and what is logged of it."""

import re

import pytest
from conftest import free_port
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
