# SPDX-License-Identifier: ISC
"""Clients that administrators use: swaks, and smtp-source of Debian's postfix package."""

import subprocess

import pytest
from conftest import PATIENCE, USER, wait_until

MESSAGES = 5000


def test_swaks(instance):
    done = subprocess.run(["swaks", "--server", f"127.0.0.1:{instance.port}", "--to", f"{USER}@localhost", "--from",
                           "sender@example.com", "--header", "Subject: from swaks"], capture_output=True, text=True,
                          timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    wait_until("the message", lambda: [m["Subject"] for m in instance.mbox()] == ["from swaks"])


@pytest.mark.parametrize("store", ["mbox", "maildir"])
def test_thousands_of_messages_over_fifty_sessions(make_instance, workspace, peer, store):
    """Below a directory that only its owner may enter; all arrive, each once."""
    closed = workspace / "closed"
    closed.mkdir(mode=0o700)
    instance = make_instance("closed/instance", mailbox_size_limit="0")
    if store == "maildir":
        instance.configure(mail_spool_directory=f"{instance.dir}/mail/")
    instance.start()
    done = peer.run("smtp-source", "-c", "-s", 50, "-m", MESSAGES, "-f", "sender@example.com", "-t",
                    f"{USER}@localhost", f"127.0.0.1:{instance.port}", timeout=2 * PATIENCE)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    wait_until("an empty queue", lambda: instance.log.read_bytes().count(b": removed\n") == MESSAGES, 2 * PATIENCE)
    mailbox = instance.dir / "mail" / USER
    if store == "mbox":
        assert mailbox.read_bytes().count(b"\nDelivered-To: ") == MESSAGES
    else:
        assert len(list((mailbox / "new").iterdir())) == MESSAGES
