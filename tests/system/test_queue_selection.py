# SPDX-License-Identifier: ISC
"""Messages selected by conditions: listed, counted, ordered about; and showq's bytes as exporters read them."""

import json
import re
import signal
import socket
import subprocess

import pytest

from conftest import BIN, needs_root, wait_until
from test_queue_tools import RUNNING, STOPPED, as_nobody, defer, deferring, queue, state, tool

BIG = "Subject: big\r\n\r\n" + "0123456789abcdef\r\n" * 1000


def mixed(make_instance, **settings):
    """Four messages: a and b to later.example, of which b is large; c to both domains; d from <>, on hold."""
    instance = deferring(make_instance, **settings)
    a = instance.send(sender="Alice@one.example", to="u@later.example")
    b = instance.send(text=BIG, sender="bob@two.example", to="v@later.example")
    c = instance.send(sender="carol@one.example", to=["w@later.example", "w@other.example"])
    d = instance.send(sender="", to="u@other.example")
    wait_until("deferred mail", lambda: [m["queue_name"] for m in queue(instance).values()] == ["deferred"] * 4)
    tool(instance, "postsuper", "-h", d)
    return instance, dict(zip("abcd", (a, b, c, d)))


# What is selected of a, b, c, d.
SELECTIONS = [
    (["--from", "alice@ONE.example"], "a"),
    (["--from", "@one.example"], "ac"),
    (["--from", "*@two.*"], "b"),
    (["--from", "<>"], "d"),
    (["--from", "<>", "--from", "bob@two.example"], "bd"),
    (["--to", "u@*"], "ad"),
    (["--domain", "other.example"], "cd"),
    (["--domain", "other.example", "--all-recipients"], "d"),
    (["--domain", "later.example", "--reason", "try LATER"], "abc"),
    (["--domain", "other.example", "--reason", "try later"], ""),
    (["--reason", "not yet"], "cd"),
    (["--larger", "10k"], "b"),
    (["--smaller", "10k", "--queue", "deferred"], "ac"),
    (["--older", "1h"], ""),
    (["--younger", "1d"], "abcd"),
    (["--queue", "hold"], "d"),
    (["--client", "127.0.0.0/8", "--from", "@one.example"], "ac"),
    (["--client", "192.0.2.0/24"], ""),
]


@pytest.mark.parametrize("system", [RUNNING, STOPPED])
def test_a_selection_is_listed_and_would_be_touched(make_instance, system):
    instance, ids = mixed(make_instance)
    if system == STOPPED:
        instance.stop()
    for conditions, wanted in SELECTIONS:
        expected = [ids[name] for name in wanted]
        listed = tool(instance, "postqueue", "-j", *conditions)
        assert [json.loads(line)["queue_id"] for line in listed.stdout.splitlines()] == expected, conditions
        text = tool(instance, "postqueue", "-p", *conditions).stdout
        dry = tool(instance, "postsuper", "--dry-run", "-d", "ALL", *conditions)
        assert dry.returncode == 0 and dry.stdout == text, (conditions, dry)
        count = len(expected)
        assert f"dry run: {count} message{'' if count == 1 else 's'} would be deleted" in dry.stderr
        assert text == "No message is selected\n" if not expected else f"in {count} Request" in text
    # What an order would leave alone anyway, and ids.
    for line, wanted in ((["-h", "ALL"], "abc"), (["-H", "ALL"], "d"), (["-h", ids["d"], "-h", ids["a"]], "a")):
        done = tool(instance, "postsuper", "--dry-run", *line)
        assert re.findall(r"^(\w{12,})", done.stdout, re.M) == [ids[name] for name in wanted]
    assert [state(queue(instance), i) for i in ids.values()] == ["deferred"] * 3 + ["hold"]


@pytest.mark.parametrize("system", [RUNNING, STOPPED])
def test_an_order_touches_what_is_selected_and_nothing_else(make_instance, system):
    instance, ids = mixed(make_instance)
    if system == STOPPED:
        instance.stop()
    for line, said, states in (
            ("-h ALL --from @one.example --to w@other.example", "Placed on hold: 1 message\n",
             "deferred deferred hold hold"),
            ("-H ALL --from <> --queue deferred", "", "deferred deferred hold hold"),
            ("-e ALL --domain other.example --from <> hold", "Expired: 1 message\n", "deferred deferred hold hold+"),
            ("-d ALL --larger 10k", "Deleted: 1 message\n", "deferred gone hold hold+"),
            ("-d ALL --larger 10k", "", "deferred gone hold hold+"),
            ("-d ALL --client 127.0.0.1 --queue hold", "Deleted: 2 messages\n", "deferred gone gone gone")):
        done = tool(instance, "postsuper", *line.split())
        assert done.returncode == 0 and (said in done.stderr if said else "message" not in done.stderr), (line, done)
        assert [state(queue(instance), i) for i in ids.values()] == states.split(), line


def test_a_flush_can_be_of_a_selection(make_instance):
    instance, ids = mixed(make_instance)
    instance.configure(transport_maps="inline:{ {later.example = discard:}, {other.example = discard:} }")
    instance.gatepost("reload")
    done = tool(instance, "postqueue", "-f", "--from", "alice@one.example", "--domain", "later.example")
    assert done.returncode == 0 and "1 message will be tried now" in done.stderr
    instance.wait_log(f"{ids['a']}: removed")
    assert [state(queue(instance), i) for i in ids.values()] == ["gone", "deferred", "deferred", "hold"]


WRONG = [
    ("postsuper", ["--from", "a@b"], "what is to be done"),
    ("postsuper", ["-d", "--from", "a@b"], "an order needs queue ids, or ALL"),
    ("postsuper", ["-d", "4F2A99", "--from", "a@b"], "conditions go with one order for ALL"),
    ("postsuper", ["-d", "-", "--from", "a@b"], "conditions go with one order for ALL"),
    ("postsuper", ["-d", "ALL", "-h", "ALL", "--from", "a@b"], "conditions go with one order for ALL"),
    ("postsuper", ["-d", "ALL", "-h", "ALL", "--dry-run"], "--dry-run goes with one order"),
    ("postsuper", ["--dry-run"], "--dry-run goes with an order"),
    ("postsuper", ["-d", "ALL", "--older", "5"], "s (seconds), m (minutes), h (hours), d (days) or w (weeks)"),
    ("postsuper", ["-d", "ALL", "--queue", "saved"], "a queue is one of"),
    ("postsuper", ["-d", "ALL", "--colour", "red"], "usage:"),
    ("postqueue", ["--from", "a@b"], "conditions go with"),
    ("postqueue", ["-s", "example.com", "--from", "a@b"], "conditions go with"),
    ("postqueue", ["-p", "--all-recipients"], "--all-recipients goes with"),
    ("postqueue", ["-p", "--younger", "2y"], "an age is a number with"),
    ("postqueue", ["-p", "--larger", "2t"], "a size is a number of bytes"),
    ("postqueue", ["-p", "--top", "5"], "is said with --ages"),
    ("postqueue", ["--ages", "-p"], "usage:"),
    ("postqueue", ["--ages", "--buckets", "33"], "--buckets is a number from 2 to 32"),
    ("postqueue", ["--ages", "--bucket-time", "90s"], "whole minutes"),
    ("postqueue", ["--ages", "--top", "0"], "--top is a number of rows"),
]


def test_what_makes_no_sense_is_refused_with_what_does(make_instance):
    instance = make_instance()
    for program, line, said in WRONG:
        done = tool(instance, program, *line)
        assert done.returncode == 64 and said in done.stderr and done.stdout == "", (program, line, done)


@pytest.mark.parametrize("system", [RUNNING, STOPPED])
def test_ages_are_counted(make_instance, system):
    instance, _ = mixed(make_instance)
    if system == STOPPED:
        instance.stop()

    def rows(*line):
        return [re.split(" +", row.strip()) for row in tool(instance, "postqueue", *line).stdout.splitlines()]

    assert rows("--ages") == [["T", "5", "10", "20", "40", "80", "160", "320", "640", "1280", "1280+"],
                              ["TOTAL", "5", "5"] + ["0"] * 9, ["later.example", "3", "3"] + ["0"] * 9,
                              ["other.example", "2", "2"] + ["0"] * 9]
    assert rows("--ages", "--senders", "--buckets", "2", "--queue", "deferred", "--top", "1") == [
        ["T", "5", "5+"], ["TOTAL", "3", "3", "0"], ["one.example", "2", "2", "0"], ["others", "1", "1", "0"]]
    objects = map(json.loads, tool(instance, "postqueue", "--ages", "-j", "--from", "<>").stdout.splitlines())
    assert [(o["row"], o.get("domain"), o["total"]) for o in objects] == [("total", None, 1),
                                                                         ("domain", "other.example", 1)]


@pytest.mark.parametrize("system", [RUNNING, STOPPED])
def test_an_interrupt_ends_with_what_was_done(make_instance, system):
    instance = deferring(make_instance)
    ids = defer(instance, 2)
    # Nobody can know which of the ids it read before: but what it says is so.
    if system == STOPPED:
        instance.stop()
    with subprocess.Popen([BIN / "postsuper", "-c", instance.etc, "-d", ids[0], "-d", "-"], stdin=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        process.stdin.write(f"{ids[1]}\n")
        process.stdin.flush()
        caught = f"/proc/{process.pid}/status"

        def waits():
            mask = re.search(r"SigCgt:\s+(\w+)", open(caught, encoding="ascii").read()).group(1)
            return int(mask, 16) & 1 << (signal.SIGINT - 1)

        wait_until("the handler", waits)
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait() == -signal.SIGINT and "interrupted: what the totals name is done" in said, said
    gone = [state(queue(instance), i) for i in ids].count("gone")
    assert (f"Deleted: {gone} message" in said) == (gone > 0), (gone, said)


def test_nothing_is_shown_of_progress_without_a_terminal(make_instance):
    instance, _ = mixed(make_instance)
    done = tool(instance, "postsuper", "-d", "ALL", "--domain", "later.example")
    assert done.stderr == "postsuper: Deleted: 3 messages\n"


@needs_root
def test_other_users_select_for_a_list_and_flush_the_domains_that_are_served(make_instance):
    instance, ids = mixed(make_instance, fast_flush_domains="later.example")
    done = as_nobody(instance, "postqueue", "-p", "--from", "@one.example")
    assert f"{ids['a']} " in done.stdout and ids["b"] not in done.stdout
    assert as_nobody(instance, "postqueue", "-f", "--from", "alice@one.example").returncode == 0
    instance.wait_log(f"{ids['a']}: .*status=deferred", 2)
    for line in (["-d", "ALL", "--from", "@one.example"], ["--dry-run", "-d", "ALL"]):
        done = as_nobody(instance, "postsuper", *line)
        assert done.returncode == 77 and "only root and the owner of the instance" in done.stderr
    done = as_nobody(instance, "postqueue", "-p", "--client", "127.0.0.1")
    assert done.returncode == 77 and "may ask where mail came from" in done.stderr
    assert as_nobody(instance, "postqueue", "-s", "later.example").returncode == 0
    instance.wait_log(f"{ids['b']}: .*status=deferred", 2)
    done = as_nobody(instance, "postqueue", "-s", "other.example")
    assert done.returncode == 69 and "not configured for destination \"other.example\"" in done.stderr
    assert tool(instance, "postqueue", "-s", "other.example").returncode == 0
    assert state(queue(instance), ids["d"]) == "hold"


def test_a_site_is_found_before_and_after_its_mail_was_read(make_instance):
    """After a start nothing is known of what waits; the first search reads it, the second one need not."""
    instance = deferring(make_instance)
    a, b = defer(instance, 1)[0], defer(instance, 1, "v@other.example")[0]
    instance.stop()
    instance.start()
    before = [len(instance.wait_log(f"{i}: .*status=deferred")) for i in (a, b)]
    for more, site in ((1, "later.example"), (2, "LATER.example")):
        tool(instance, "postqueue", "-s", "nowhere.example")
        wait_until("no delivery", lambda: state(queue(instance), a) == "deferred")
        tool(instance, "postqueue", "-s", site)
        instance.wait_log(f"{a}: .*status=deferred", before[0] + more)
    assert len(instance.wait_log(f"{b}: .*status=deferred")) == before[1]


# showq, as exporters read it

def attribute_lists(data):
    """By the contract alone: names and values, each with its NUL; an empty name ends a list, an empty list all."""
    fields, lists, at = data.split(b"\0"), [[]], 0
    assert fields.pop() == b""
    while at < len(fields):
        if fields[at] == b"":
            lists.append([])
            at += 1
        else:
            lists[-1].append((fields[at].decode(), fields[at + 1].decode()))
            at += 2
    assert lists[-2:] == [[], []]
    return lists[:-2]


def test_exporters_read_the_queue_from_showq(make_instance):
    instance, ids = mixed(make_instance)
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(next(instance.dir.rglob("public/showq"))))
        data = b"".join(iter(lambda: s.recv(100), b""))
    protocol, *messages = attribute_lists(data)
    assert protocol == [("protocol", "mail_queue_list_protocol")]
    assert [dict(m)["queue_id"] for m in messages] == list(ids.values())
    by_json = list(queue(instance).values())
    for m, j in zip(messages, by_json):
        assert [name for name, _ in m[:6]] == ["queue_name", "queue_id", "time", "size", "forced_expire", "sender"]
        assert [name for name, _ in m[6:]] == ["original_recipient", "recipient", "log_class",
                                              "reason"] * len(j["recipients"])
        head = dict(m[:6])
        assert (head["queue_name"], int(head["time"]), int(head["size"])) == (
            j["queue_name"], j["arrival_time"], j["message_size"])
    assert dict(messages[3])["sender"] == "MAILER-DAEMON"


# postcat

@pytest.mark.parametrize("system", [RUNNING, STOPPED])
def test_postcat_tells_types_and_offsets(make_instance, system):
    instance = deferring(make_instance)
    queue_id = defer(instance, 1)[0]
    second = defer(instance, 1)[0]
    if system == STOPPED:
        instance.stop()
    plain = tool(instance, "postcat", "-bh", "-q", queue_id).stdout.splitlines()
    marked = tool(instance, "postcat", "-odbh", "-q", queue_id).stdout.splitlines()
    offset = 0
    for line, with_marks in zip(plain, marked):
        assert with_marks == f"{offset:9} {ord('N'):3} {line}"
        offset += len(line) + 2
    assert offset == json.loads(tool(instance, "postqueue", "-j").stdout.splitlines()[0])["message_size"]
    body = tool(instance, "postcat", "-ob", "-q", queue_id).stdout.splitlines()
    assert body == [re.sub(r"^(.{9}).{4}", r"\1", line) for line in marked[-len(body):]]
    envelope = tool(instance, "postcat", "-ed", "-q", queue_id, second).stdout
    assert envelope.count("\n 83 sender: ") == 2 and "\n 82 recipient: u@later.example\n" in envelope
    assert envelope.count("\n 65 named_attribute: log_client_address=127.0.0.1\n") == 2
    assert f"*** ENVELOPE RECORDS deferred/{second} ***" in envelope
