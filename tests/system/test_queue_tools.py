# SPDX-License-Identifier: ISC
"""postqueue, postsuper, postcat, postlog: on a system that runs and on one that is stopped."""

import concurrent.futures
import json
import os
import re
import shutil
import signal
import subprocess

import pytest

from conftest import BIN, USER, needs_root, run, wait_until
from test_queue import pid_of, slow_alias, starts

LATER = "inline:{ {later.example = retry:4.3.0 try later}, {other.example = retry:4.3.0 not yet} }"
DOMAINS = "later.example other.example"
RUNNING, STOPPED = "running", "stopped"


def tool(instance, program, *arguments, stdin=""):
    return run(program, "-c", instance.etc, *arguments, check=False, input=stdin)


def queue(instance):
    """id -> its object of postqueue -j."""
    out = tool(instance, "postqueue", "-j").stdout
    return {m["queue_id"]: m for m in map(json.loads, out.splitlines())}


def state(entries, queue_id):
    """Its queue, with + behind it when it is to expire."""
    m = entries.get(queue_id)
    return "gone" if m is None else m["queue_name"] + ("+" if m["forced_expire"] else "")


def send_many(instance, count, to="u@later.example", text="Subject: test\r\n\r\nbody\r\n"):
    """In one session; returns the ids."""
    ids = []
    with instance.raw() as client:
        client.hello()
        for _ in range(count):
            client.send(f"MAIL FROM:<{USER}@localhost>\r\nRCPT TO:<{to}>\r\nDATA\r\n".encode())
            assert [client.reply()[:3] for _ in range(3)] == ["250", "250", "354"]
            client.send(text.encode() + b".\r\n")
            ids.append(client.reply().split()[-1])
    return ids


def deferring(make_instance, **settings):
    return make_instance(transport_maps=LATER, relay_domains=DOMAINS, **settings).start()


def defer(instance, count, to="u@later.example"):
    ids = send_many(instance, count, to)
    wait_until("deferred mail", lambda: all(state(queue(instance), i) == "deferred" for i in ids))
    return ids


# a is deferred, b is on hold, c is deferred. Then a command line, its standard input, exit status, what
# standard error has, and the states of a, b, c afterwards: while the system is stopped; and while it runs, where
# they differ. "?": what the next attempt makes of it.
ORDERS = [
    ("-d {a}", "", 0, "postsuper: Deleted: 1 message\n", "gone hold deferred"),
    ("-d {a} -d {b}", "", 0, "postsuper: Deleted: 2 messages\n", "gone gone deferred"),
    ("-d {a} deferred", "", 0, "Deleted: 1 message\n", "gone hold deferred"),
    ("-d {a} hold", "", 0, "", "deferred hold deferred"),
    ("-d {b} hold", "", 0, "Deleted: 1 message\n", "deferred gone deferred"),
    ("-d {a} hold deferred", "", 0, "Deleted: 1 message\n", "gone hold deferred"),
    ("-d {a} incoming", "", 0, "", "deferred hold deferred"),
    ("-d {a} active", "", 0, "", "deferred hold deferred"),
    ("-d {a} maildrop", "", 0, "", "deferred hold deferred"),
    ("-d -", "{a}\n{b}\n{c}\n", 0, "Deleted: 3 messages\n", "gone gone gone"),
    ("-d -", "  {a}  \n\n{c}", 0, "Deleted: 2 messages\n", "gone hold gone"),
    ("-d -", "", 0, "", "deferred hold deferred"),
    ("-d -", "../../etc/passwd\n{a}\n", 0, r"warning: bad queue id: \.\./\.\./etc/passwd\n.*Deleted: 1 message\n",
     "gone hold deferred"),
    ("-d - hold", "{a}\n{b}\n", 0, "Deleted: 1 message\n", "deferred gone deferred"),
    ("-d 3Zdsj31Dsgz9C", "", 0, "", "deferred hold deferred"),
    ("-d 4F2A", "", 0, "", "deferred hold deferred"),
    ("-d all", "", 0, "", "deferred hold deferred"),
    ("-h {a}", "", 0, "postsuper: Placed on hold: 1 message\n", "hold hold deferred"),
    ("-h {b}", "", 0, "", "deferred hold deferred"),
    ("-h -", "{a}\n{b}\n{c}\n", 0, "Placed on hold: 2 messages\n", "hold hold hold"),
    ("-h {a} deferred", "", 0, "Placed on hold: 1 message\n", "hold hold deferred"),
    ("-h {a} hold", "", 0, "", "deferred hold deferred"),
    ("-H {b}", "", 0, "postsuper: Released from hold: 1 message\n", "deferred deferred deferred"),
    ("-H {a}", "", 0, "", "deferred hold deferred"),
    ("-H {b} deferred", "", 0, "", "deferred hold deferred"),
    ("-H -", "{a}\n{b}\n", 0, "Released from hold: 1 message\n", "deferred deferred deferred"),
    ("-h {a} -H {a}", "", 0, "Placed on hold: 1 message\n.*Released from hold: 1 message\n",
     "deferred hold deferred"),
    ("-h {a} -d {c} -H {b}", "", 0,
     "Deleted: 1 message\n.*Placed on hold: 1 message\n.*Released from hold: 1 message\n", "hold deferred gone"),
    ("-r {a}", "", 0, "postsuper: Requeued: 1 message\n", "deferred hold deferred", "? hold deferred"),
    ("-r {b}", "", 0, "Requeued: 1 message\n", "deferred deferred deferred", "deferred ? deferred"),
    ("-r {a} hold", "", 0, "", "deferred hold deferred"),
    ("-r -", "{a}\n{b}\n", 0, "Requeued: 2 messages\n", "deferred deferred deferred", "? ? deferred"),
    ("-e {a}", "", 0, "postsuper: Expired: 1 message\n", "deferred+ hold deferred", "? hold deferred"),
    ("-e {b}", "", 0, "Expired: 1 message\n", "deferred hold+ deferred"),
    ("-f {b}", "", 0, "Expired: 1 message\n", "deferred deferred+ deferred", "deferred ? deferred"),
    ("-e {a} -f {b}", "", 0, "Expired: 2 messages\n", "deferred+ deferred+ deferred", "? ? deferred"),
    ("-e {a} hold", "", 0, "", "deferred hold deferred"),
    ("-v -d {a}", "", 0, "Deleted: 1 message\n", "gone hold deferred"),
    ("-s", "", 0, "nothing to do", "deferred hold deferred"),
    ("-p", "", 0, "nothing to do", "deferred hold deferred"),
    ("-psS -d {a}", "", 0, "nothing to do\n.*Deleted: 1 message\n", "gone hold deferred"),
    ("-d {a} nowhere", "", 64, "a queue is one of hold", "deferred hold deferred"),
    ("-d", "", 64, "usage:", "deferred hold deferred"),
    ("-d ../{a}", "", 64, "a queue id consists of", "deferred hold deferred"),
    ("-v", "", 64, "usage:", "deferred hold deferred"),
    ("-Z", "", 64, "usage:", "deferred hold deferred"),
]


@pytest.mark.parametrize("system", [RUNNING, STOPPED])
def test_orders_of_postsuper(make_instance, system):
    instance = deferring(make_instance)
    ids = defer(instance, 3 * len(ORDERS))
    tool(instance, "postsuper", "-h", "-", stdin="\n".join(ids[1::3]))
    if system == STOPPED:
        instance.stop()
    expected = {}
    for at, row in enumerate(ORDERS):
        line, stdin, status, said, states = *row[:4], row[-1 if system == RUNNING else 4]
        names = dict(zip("abc", ids[3 * at:3 * at + 3]))
        done = tool(instance, "postsuper", *line.format(**names).split(), stdin=stdin.format(**names))
        assert done.returncode == status and done.stdout == "", (row, done)
        assert re.search(said, done.stderr, re.S) if said else "message" not in done.stderr, (row, done)
        expected |= zip(names.values(), states.split())

    def others():
        entries = queue(instance)
        return {i: (want, state(entries, i)) for i, want in expected.items() if want not in ("?", state(entries, i))}

    # What was released is tried, which takes a moment.
    wait_until("the states", lambda: not others() or print(others()), 10 if system == RUNNING else 0.1)
    instance.stop()


def test_orders_are_logged(make_instance):
    instance = deferring(make_instance)
    a, b, c, d = defer(instance, 4)
    tool(instance, "postsuper", "-h", a, "-r", b, "-e", c, "-d", d)
    tool(instance, "postsuper", "-H", a)
    for queue_id, event in ((a, "placed on hold"), (a, "released from hold"), (b, "requeued"), (c, "expired"),
                            (d, "removed")):
        assert len(instance.wait_log(f"postfix/qmgr.*: {queue_id}: {event}$")) == 1
    for total in ("Deleted: 1 message", "Placed on hold: 1 message", "Requeued: 1 message", "Expired: 1 message",
                  "Released from hold: 1 message"):
        instance.wait_log(f"postfix/postsuper.*: {total}$")


@pytest.mark.parametrize("system", [RUNNING, STOPPED])
def test_all_in_upper_case_is_all(make_instance, system):
    instance = deferring(make_instance)
    ids = defer(instance, 5)
    if system == STOPPED:
        instance.stop()
    for line, said, states in (
            (["-h", "ALL"], "Placed on hold: 5 messages\n", ["hold"] * 5),
            (["-d", "ALL", "deferred"], "", ["hold"] * 5),
            (["-e", "ALL", "hold"], "Expired: 5 messages\n", ["hold+"] * 5),
            (["-d", "ALL", "hold"], "Deleted: 5 messages\n", ["gone"] * 5),
            (["-H", "ALL", "-r", "ALL", "-h", "ALL"], "", ["gone"] * 5)):
        done = tool(instance, "postsuper", *line)
        entries = queue(instance)
        assert done.returncode == 0 and said in done.stderr and ("Deleted" in said or "Deleted" not in done.stderr)
        assert [state(entries, i) for i in ids] == states, line
    assert "Mail queue is empty" in tool(instance, "postqueue", "-p").stdout


def test_a_queue_is_emptied_by_its_own_list(make_instance):
    """postqueue -j | ... | postsuper -d -, with 3,000 messages."""
    instance = deferring(make_instance)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        ids = [i for some in pool.map(lambda _: send_many(instance, 375), range(8)) for i in some]
    kept = instance.send(to="x@other.example")
    wait_until("all deferred", lambda: [m["queue_name"] for m in queue(instance).values()] == ["deferred"] * 3001)
    listed = [i for i, m in queue(instance).items() if m["recipients"][0]["address"].endswith("@later.example")]
    assert sorted(listed) == sorted(ids)
    done = tool(instance, "postsuper", "-d", "-", stdin="".join(i + "\n" for i in listed))
    assert "postsuper: Deleted: 3000 messages\n" in done.stderr
    assert list(queue(instance)) == [kept]
    for _, pid in instance.processes():
        os.kill(pid, signal.SIGKILL)
    wait_until("master's end", lambda: instance.gatepost("status", check=False).returncode != 0)
    instance.start()
    assert list(queue(instance)) == [kept]


# Returned, requeued

def test_an_expired_message_is_returned_with_its_last_reason(make_instance):
    instance = deferring(make_instance)
    a, b = defer(instance, 2)
    tool(instance, "postsuper", "-h", b, "-e", a, "-e", b)
    instance.wait_log(f"{a}: from=<{USER}@localhost>, status=force-expired, returned to sender")
    instance.wait_log(f"{a}: removed")
    assert state(queue(instance), b) == "hold+"
    tool(instance, "postsuper", "-H", b)
    instance.wait_log(f"{b}: removed")
    notices = wait_until("two notices", lambda: len(instance.mbox()) == 2 and [str(m) for m in instance.mbox()])
    assert all("Undelivered Mail Returned to Sender" in n and "try later" in n for n in notices)


def test_a_held_message_is_returned_by_f(make_instance):
    instance = deferring(make_instance)
    a = defer(instance, 1)[0]
    tool(instance, "postsuper", "-h", a)
    instance.stop()
    tool(instance, "postsuper", "-f", a)
    assert state(queue(instance), a) == "deferred+"
    instance.start()
    instance.wait_log(f"{a}: .*status=force-expired")
    instance.wait_log(f"{a}: removed")


@pytest.mark.parametrize("system", [RUNNING, STOPPED])
def test_a_requeued_message_is_admitted_once_more(make_instance, system):
    """By the tables as they are now, with the recipients that are still open."""
    instance = deferring(make_instance)
    a, b = defer(instance, 2)
    tool(instance, "postsuper", "-h", b)
    if system == STOPPED:
        instance.stop()
    instance.configure(virtual_alias_maps=f"inline:{{ {{u@later.example = {USER}@localhost}} }}")
    if system == RUNNING:
        instance.gatepost("reload")
    assert "Requeued: 2" in tool(instance, "postsuper", "-r", a, "-r", b).stderr
    if system == STOPPED:
        instance.start()
    instance.wait_log(f"({a}|{b}): removed", 2)
    wait_until("both delivered", lambda: len(instance.mbox()) == 2)
    wait_until("an empty queue", lambda: queue(instance) == {})


def test_what_requeueing_brings_is_not_requeued_again(make_instance):
    """More than the records that may be under way at once, so that the first ones are new messages by then."""
    instance = deferring(make_instance)
    sessions, each = 8, 400
    with concurrent.futures.ThreadPoolExecutor(sessions) as pool:
        list(pool.map(lambda _: send_many(instance, each), range(sessions)))
    tool(instance, "postsuper", "-h", "ALL")
    assert f"Requeued: {sessions * each} messages" in tool(instance, "postsuper", "-r", "ALL").stderr


# Messages in delivery

def one_at_a_time(make_instance):
    """Of two messages the first is being delivered, the second waits for it."""
    instance = make_instance(default_process_limit="1")
    started, going = slow_alias(instance)
    instance.start()
    first = instance.send(to="slow@localhost")
    wait_until("the delivery", lambda: starts(started) == 1)
    second = instance.send(to="slow@localhost")
    instance.wait_log(f"{second}: .*queue active")
    return instance, started, going, first, second


def test_a_hold_stops_what_waits_and_lets_what_is_under_way_end(make_instance):
    instance, started, going, first, second = one_at_a_time(make_instance)
    assert "Placed on hold: 2" in tool(instance, "postsuper", "-h", first, "-h", second).stderr
    assert [state(queue(instance), i) for i in (first, second)] == ["hold", "hold"]
    going.unlink()
    instance.wait_log(f"{first}: .*status=sent")
    wait_until("one of two", lambda: state(queue(instance), first) == "gone")
    assert tool(instance, "postqueue", "-f").returncode == 0
    assert state(queue(instance), second) == "hold" and starts(started) == 1
    assert "Released from hold: 1" in tool(instance, "postsuper", "-H", second).stderr
    instance.wait_log(f"{second}: .*status=sent")
    wait_until("an empty queue", lambda: queue(instance) == {})
    assert starts(started) == 2


def test_a_release_comes_in_time_for_what_still_waits(make_instance):
    instance, started, going, first, second = one_at_a_time(make_instance)
    tool(instance, "postsuper", "-h", second)
    tool(instance, "postsuper", "-H", second)
    going.unlink()
    instance.wait_log(f"{second}: removed")
    assert starts(started) == 2


def test_messages_in_delivery_are_deleted(make_instance):
    instance, started, going, first, second = one_at_a_time(make_instance)
    before = pid_of(instance, "qmgr")
    assert "Deleted: 2" in tool(instance, "postsuper", "-d", first, "-d", second).stderr
    assert queue(instance) == {}
    going.unlink()
    instance.wait_log(f"{first}: .*status=sent")
    instance.deliver()
    assert starts(started) == 1 and pid_of(instance, "qmgr") == before
    for queue_id in (first, second):
        assert len(instance.wait_log(f"{queue_id}: removed")) == 1
    assert not [line for line in instance.lines() if re.search("panic|error:|hold", line)]


# Flushing

FLUSHES = [(["-f"], "gone gone"), (["-i", "{a}"], "gone deferred"), (["-s", "later.example"], "gone deferred"),
           (["-s", "LATER.example"], "gone deferred"), (["-s", "example"], "deferred deferred"),
           (["-s", "other.example"], "deferred gone")]


@pytest.mark.parametrize("line, states", FLUSHES)
def test_a_flush_tries_at_once_what_it_names(make_instance, line, states):
    instance = deferring(make_instance)
    a, b = defer(instance, 1)[0], defer(instance, 1, "v@other.example")[0]
    instance.configure(transport_maps="inline:{ {later.example = discard:}, {other.example = discard:} }")
    instance.gatepost("reload")
    done = tool(instance, "postqueue", *[word.format(a=a) for word in line])
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    for queue_id, wanted in zip((a, b), states.split()):
        if wanted == "gone":
            instance.wait_log(f"{queue_id}: removed")
    assert [state(queue(instance), i) for i in (a, b)] == states.split()


def test_gatepost_flush_is_postqueue_f(make_instance):
    instance = deferring(make_instance)
    queue_id = defer(instance, 1)[0]
    instance.gatepost("flush")
    instance.wait_log(f"{queue_id}: .*status=deferred", 2)


def test_a_flush_overrides_defer_transports_once(make_instance):
    instance = make_instance(defer_transports="local").start()
    first, second = send_many(instance, 2, f"{USER}@localhost")
    instance.wait_log(r"status=deferred \(deferred transport\)", 2)
    tool(instance, "postqueue", "-i", second)
    instance.wait_log(f"{second}: removed")
    assert state(queue(instance), first) == "deferred"
    tool(instance, "postqueue", "-f")
    instance.wait_log(f"{first}: removed")
    third = instance.send()
    instance.wait_log(f"{third}: .*deferred transport")


def test_a_flush_tries_a_transport_that_was_dead(make_instance):
    instance = make_instance(transport_maps="inline:{ {later.example = nosuch:} }", relay_domains=DOMAINS).start()
    ids = send_many(instance, 2)
    instance.wait_log("status=deferred .mail transport unavailable", 2)
    instance.wait_log("warning: transport nosuch: ", 1)
    wait_until("deferred mail", lambda: all(state(queue(instance), i) == "deferred" for i in ids))
    tool(instance, "postqueue", "-f")
    instance.wait_log("warning: transport nosuch: ", 2)


def test_an_unknown_message_is_said(make_instance):
    instance = deferring(make_instance)
    done = tool(instance, "postqueue", "-i", "4F2A99")
    assert done.returncode == 0 and "4F2A99 is not in the deferred queue" in done.stderr


@pytest.mark.parametrize("line", [["-s", "a b"], ["-s", "u@example"], ["-s", ""], ["-i", "../x"], ["-i", ""],
                                  ["-f", "-p"], ["-f", "x"]])
def test_a_wrong_flush_is_refused(make_instance, line):
    done = tool(make_instance(), "postqueue", *line)
    assert done.returncode == 64 and "usage: postqueue" in done.stderr


def test_a_flush_needs_the_running_system(make_instance):
    instance = make_instance()
    for line in (["-f"], ["-i", "4F2A99"], ["-s", "later.example"]):
        done = tool(instance, "postqueue", *line)
        assert done.returncode == 69 and "Cannot flush mail queue - mail system is down" in done.stderr


def test_flush_as_postfix_has_it_in_master_cf(make_instance):
    instance = make_instance()
    path = instance.etc / "master.cf"
    path.write_text(re.sub("^flush .*$", "flush unix n - y 1000? 0 flush", path.read_text(), flags=re.M))
    instance.start()
    assert tool(instance, "postqueue", "-f").returncode == 0


# The list

def test_the_list_is_the_same_while_the_system_is_stopped(make_instance):
    instance = deferring(make_instance)
    ids = defer(instance, 3)
    tool(instance, "postsuper", "-h", ids[1])
    tool(instance, "postsuper", "-h", ids[2], "-e", ids[2])
    running = [tool(instance, "postqueue", form).stdout for form in ("-p", "-j")]
    assert re.search(f"^{ids[0]}  .*^{ids[1]}!  .*^{ids[2]}#  ", running[0], re.M | re.S)
    instance.stop()
    stopped = [tool(instance, "postqueue", form) for form in ("-p", "-j")]
    assert [done.stdout for done in stopped] == running
    assert all("Mail system is down -- accessing queue directly" in done.stderr for done in stopped)
    instance.start()
    assert [tool(instance, "postqueue", form).stdout for form in ("-p", "-j")] == running


def test_an_instance_that_never_ran_has_an_empty_queue(make_instance):
    instance = make_instance()
    done = tool(instance, "postqueue", "-p")
    assert done.returncode == 0 and done.stdout == "Mail queue is empty\n"
    assert tool(instance, "postsuper", "-d", "ALL").returncode == 0
    instance.start().deliver()


def test_what_was_ordered_while_stopped_holds_after_the_start(make_instance):
    instance = deferring(make_instance)
    a, b, c = defer(instance, 3)
    instance.stop()
    tool(instance, "postsuper", "-d", a, "-h", b)
    instance.start()
    assert [state(queue(instance), i) for i in (a, b, c)] == ["gone", "hold", "deferred"]


# postcat

MESSAGE = "Subject: dots\r\nX-Header: one\r\n two\r\n\r\nfirst\r\n..second\r\n\r\nlast\r\n"
BODY = "\nfirst\n.second\n\nlast\n"


@pytest.mark.parametrize("system", [RUNNING, STOPPED])
@pytest.mark.parametrize("filler", [0, 3000])
def test_postcat_shows_a_message(make_instance, system, filler):
    instance = deferring(make_instance)
    text = MESSAGE + "0123456789abcdef0123456789abcde\r\n" * filler
    body = BODY + "0123456789abcdef0123456789abcde\n" * filler
    with instance.smtp() as client:
        client.ehlo("client.example")
        client.mail(f"{USER}@localhost")
        for to in ("a@later.example", "b@later.example"):
            client.rcpt(to)
        client.putcmd("DATA")
        client.getreply()
        client.send(text.encode() + b".\r\n")
        queue_id = client.getreply()[1].decode().split()[-1]
    wait_until("deferred mail", lambda: state(queue(instance), queue_id) == "deferred")
    size = queue(instance)[queue_id]["message_size"]
    if system == STOPPED:
        instance.stop()

    def cat(*options):
        done = tool(instance, "postcat", *options, "-q", queue_id)
        assert done.returncode == 0, done
        return done.stdout

    whole = cat()
    assert re.match(rf"\*\*\* ENVELOPE RECORDS deferred/{queue_id} \*\*\*\nmessage_size: +{size} ", whole)
    assert f"\nsender: {USER}@localhost\n" in whole
    assert "\noriginal_recipient: a@later.example\nrecipient: a@later.example\n" in whole
    header = cat("-h")
    assert header.startswith("Received: ") and header.endswith("\n")
    assert "\nSubject: dots\nX-Header: one\n two\n" in header
    assert cat("-b") == body
    assert cat("-bh") == header + body
    assert whole.endswith(f"\n*** MESSAGE CONTENTS deferred/{queue_id} ***\n{header}{body}"
                          f"*** HEADER EXTRACTED deferred/{queue_id} ***\n"
                          f"*** MESSAGE FILE END deferred/{queue_id} ***\n")
    envelope = cat("-e")
    assert "Subject" not in envelope and envelope.count("***\n") == 4
    if filler == 0:
        named = cat("-f")
        assert [line[len(f"deferred/{queue_id}: "):] for line in named.splitlines()] == whole.splitlines()


@pytest.mark.parametrize("system", [RUNNING, STOPPED])
def test_postcat_says_what_it_does_not_find(make_instance, system):
    instance = make_instance()
    if system == RUNNING:
        instance.start()
    done = tool(instance, "postcat", "-q", "4F2A99")
    assert done.returncode == 1 and "open queue file 4F2A99: No such file or directory" in done.stderr
    done = tool(instance, "postcat", instance.etc / "main.cf")
    assert done.returncode == 1 and "messages are no files here" in done.stderr
    assert tool(instance, "postcat", "-q", "../../etc/passwd").returncode == 64
    assert tool(instance, "postcat").returncode == 64


# postlog

def test_postlog_writes_into_the_mail_log(instance):
    assert tool(instance, "postlog", "-i", "hello", "to the log").returncode == 0
    instance.wait_log(r"postfix/postlog\[\d+\]: hello to the log$")
    tool(instance, "postlog", "-t", "postfix/postfix-script", "-p", "warn", "beware")
    instance.wait_log(r"postfix/postfix-script\[\d+\]: warning: beware$")
    tool(instance, "postlog", "-p", "fatal", stdin="one line\nanother\x01 line\n")
    instance.wait_log("fatal: one line$")
    instance.wait_log("fatal: another. line$")
    tool(instance, "postlog", "a\nforged: line")
    instance.wait_log(r"postlog\[\d+\]: a\?forged: line$")
    assert tool(instance, "postlog", "-p", "loud", "x").returncode == 64
    assert tool(instance, "postlog", "-t", "t" * 65, "x").returncode == 64


def test_postlog_works_while_the_system_is_stopped(make_instance):
    assert tool(make_instance(), "postlog", "to syslog").returncode == 0


# Who may

def as_nobody(instance, program, *arguments, etc=None):
    try:
        return run(program, "-c", etc or instance.etc, *arguments, check=False, user="nobody", group="nogroup",
                   extra_groups=[])
    except PermissionError:
        pytest.skip("the build directory is below one that others may not enter")


REFUSED = [
    ("postsuper", ["-d", "{a}"], 77, "only root and the owner of the instance"),
    ("postsuper", ["-h", "ALL"], 77, "only root and the owner of the instance"),
    ("postsuper", ["-H", "ALL"], 77, "only root and the owner of the instance"),
    ("postsuper", ["-r", "{a}"], 77, "only root and the owner of the instance"),
    ("postsuper", ["-e", "{a}"], 77, "only root and the owner of the instance"),
    ("postsuper", ["-f", "ALL"], 77, "only root and the owner of the instance"),
    ("postcat", ["-q", "{a}"], 1, "only root and the owner of the instance"),
]


@needs_root
def test_other_users_may_list_and_flush_and_no_more(make_instance):
    instance = deferring(make_instance)
    a, b = defer(instance, 2)
    assert f"{a} " in as_nobody(instance, "postqueue", "-p").stdout
    for program, line, status, said in REFUSED:
        done = as_nobody(instance, program, *[word.format(a=a) for word in line])
        assert done.returncode == status and said in done.stderr, (program, line, done)
    assert [state(queue(instance), i) for i in (a, b)] == ["deferred", "deferred"]
    assert as_nobody(instance, "postqueue", "-i", b).returncode == 0
    instance.wait_log(f"{b}: .*status=deferred", 2)
    assert as_nobody(instance, "postqueue", "-f").returncode == 0
    instance.wait_log(f"{a}: .*status=deferred", 2)
    instance.stop()
    for program, line, status in (("postqueue", ["-p"], 69), ("postqueue", ["-f"], 69), ("postsuper", ["-d", a], 69),
                                  ("postcat", ["-q", a], 69)):
        assert as_nobody(instance, program, *line).returncode == status, (program, line)
    assert "Queue report unavailable - mail system is down" in as_nobody(instance, "postqueue", "-p").stderr


@needs_root
def test_lists_of_users_are_kept_by_the_services_too(make_instance, workspace):
    instance = deferring(make_instance, authorized_flush_users="!nobody, static:anyone",
                         authorized_mailq_users="root, postmaster")
    a = defer(instance, 1)[0]
    # A configuration of his own says that he may.
    own = workspace / "own"
    shutil.copytree(instance.etc, own)
    run("postconf", "-c", own, "-e", "authorized_flush_users = static:anyone", "authorized_mailq_users = static:anyone")
    done = as_nobody(instance, "postqueue", "-f")
    assert done.returncode == 77 and "is not allowed to flush the mail queue" in done.stderr
    done = as_nobody(instance, "postqueue", "-f", etc=own)
    assert done.returncode == 77 and "authorized_flush_users" in done.stderr
    instance.wait_log("user nobody is refused: not in authorized_flush_users")
    done = as_nobody(instance, "postqueue", "-p")
    assert done.returncode == 77 and "is not allowed to view the mail queue" in done.stderr
    done = as_nobody(instance, "postqueue", "-p", etc=own)
    assert done.returncode == 69 and done.stdout == ""
    instance.wait_log("user nobody is refused: not in authorized_mailq_users")
    assert tool(instance, "postqueue", "-f").returncode == 0 and a in queue(instance)


@needs_root
@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_the_queue_is_read_as_its_owner_while_the_system_is_stopped(make_instance):
    """Not as root: what strangers wrote is parsed without its rights."""
    instance = deferring(make_instance)
    defer(instance, 1)
    instance.stop()
    done = subprocess.run(["strace", "-f", "-e", "trace=setresuid,openat", "-o", "/dev/stderr", str(BIN / "postqueue"),
                           "-c", str(instance.etc), "-p"], capture_output=True, text=True,
                          env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})  # which does not work under strace
    assert done.returncode == 0 and 0 < done.stderr.index("setresuid(") < done.stderr.index('"log/')


def test_two_at_once_do_not_share_a_stopped_queue(make_instance):
    """The second is told to try again."""
    instance = deferring(make_instance)
    ids = defer(instance, 2)
    instance.stop()
    with subprocess.Popen([BIN / "postsuper", "-c", instance.etc, "-d", "-"], stdin=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as first:
        first.stdin.write(f"{ids[0]}\n")
        first.stdin.flush()
        assert "accessing queue directly" in first.stderr.readline()
        done = wait_until("the lock", lambda: (d := tool(instance, "postqueue", "-p")).returncode == 75 and d)
        assert "the queue is in use" in done.stderr
        first.communicate()
        assert first.returncode == 0
    assert [state(queue(instance), i) for i in ids] == ["gone", "deferred"]
