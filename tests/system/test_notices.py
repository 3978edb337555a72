# SPDX-License-Identifier: ISC
"""Notices to senders and postmasters, as a program reads them: Python's email package, and the log."""
import email
import email.policy
import re
import subprocess

import pytest
from conftest import USER, run, wait_until
from sink import Session, Sink

# smtpd refuses recipients that go to "error"; what goes to "bad" fails later.
ROUTES = ("inline:{ {fail.example = bad:5.1.1 no such user here}, {gone.example = bad:5.7.1 "
          + "we do not talk to them, and here is a reason that goes on for more than one line of a notice}, "
          + "{later.example = retry:4.4.1 nobody at home} }")
MESSAGE = "From: me@localhost\r\nSubject: hello\r\nMessage-ID: <1@localhost>\r\n\r\nthe body\r\n"
ME = f"{USER}@localhost"


@pytest.fixture
def make_routed(make_instance):
    def make(**settings):
        instance = make_instance(transport_maps=ROUTES, **settings)
        with (instance.etc / "master.cf").open("a") as f:
            f.write("bad unix - - n - - error\n")
        return instance

    return make


def send(instance, to, text=MESSAGE, sender=ME, mail=(), rcpt=()):
    """Returns the queue id."""
    with instance.smtp() as client:
        client.ehlo("client.example")
        code, reply = client.mail(sender, list(mail))
        assert code == 250, reply
        for recipient in [to] if isinstance(to, str) else to:
            code, reply = client.rcpt(recipient, list(rcpt))
            assert code == 250, reply
        code, reply = client.data(text)
        assert code == 250, reply
        return reply.decode().split()[-1]


def read_notice(instance, queue_id, what="sender non-delivery"):
    """The notice about the message, once it is in the mailbox of this test's user."""
    line = instance.wait_log(rf"{queue_id}: {what} notification: ")[0]
    notice_id = line.split()[-1]
    instance.wait_log(f"{notice_id}: removed")
    raw = next(bytes(m) for m in instance.mbox() if notice_id in str(m["Received"]))
    return email.message_from_bytes(raw, policy=email.policy.default)


def parts(notice):
    """Words; fields of the message; fields of each recipient; what is returned."""
    assert notice.get_content_type() == "multipart/report"
    assert notice.get_param("report-type") == "delivery-status"
    assert not notice.defects
    words, report, returned = notice.get_payload()
    assert words.get_content_type() == "text/plain"
    assert words["Content-Description"] == "Notification"
    assert report.get_content_type() == "message/delivery-status"
    assert report["Content-Description"] == "Delivery report"
    fields = [block for block in report.get_payload() if block.keys()]
    return words.get_content(), fields[0], fields[1:], returned


def ended(instance, queue_id):
    instance.wait_log(f"{queue_id}: removed")


def test_a_failure_is_told_to_the_sender(make_routed):
    instance = make_routed().start()
    queue_id = send(instance, ["a@fail.example", "b@gone.example"], mail=["ENVID=QQ+2B1", "RET=FULL"],
                    rcpt=["ORCPT=rfc822;x+2By@z.example"])
    notice = read_notice(instance, queue_id)
    assert notice["Return-Path"] == "<>"
    assert notice["From"] == "Mail Delivery System <MAILER-DAEMON@" + str(notice["From"]).split("@")[-1]
    assert notice["To"] == ME
    assert notice["Subject"] == "Undelivered Mail Returned to Sender"
    assert notice["Auto-Submitted"] == "auto-replied"
    assert notice["Message-ID"] and notice["Date"] and notice["MIME-Version"] == "1.0"
    words, message, recipients, returned = parts(notice)
    assert re.match(r"This is the mail system at host \S+\.\n", words)
    assert "\n<a@fail.example>: no such user here\n" in words
    assert re.search(r"\n<b@gone.example>: we do not talk to them.*\n    .*of a\s+notice\n", words)
    assert all(len(line) <= 79 for line in words.splitlines())
    assert re.match(r"dns; \S+$", message["Reporting-MTA"])
    assert message["Original-Envelope-Id"] == "QQ+1"
    assert message["X-Postfix-Queue-ID"] == queue_id
    assert message["X-Postfix-Sender"] == f"rfc822; {ME}"
    assert re.match(r"\w{3}, \d+ \w{3} \d{4} [\d:]{8} [+-]\d{4}", message["Arrival-Date"])
    assert sorted(r["Final-Recipient"] for r in recipients) == ["rfc822; a@fail.example", "rfc822; b@gone.example"]
    first = next(r for r in recipients if "a@fail" in r["Final-Recipient"])
    assert first["Original-Recipient"] == "rfc822;x+y@z.example"
    assert (first["Action"], first["Status"]) == ("failed", "5.1.1")
    assert first["Diagnostic-Code"] == "X-Postfix; no such user here"
    assert returned["Content-Description"] == "Undelivered Message"
    original = returned.get_payload(0)
    assert original["Return-Path"] == f"<{ME}>" and original["Subject"] == "hello"
    assert original.get_content().strip() == "the body"
    ended(instance, queue_id)


def test_the_senders_wishes_count(make_routed):
    instance = make_routed(virtual_alias_maps="inline:{ {all@localhost = a@fail.example} }",
                             local_recipient_maps="").start()
    silent = send(instance, "a@fail.example", rcpt=["NOTIFY=NEVER"])
    other = send(instance, "a@fail.example", rcpt=["NOTIFY=SUCCESS,DELAY"])
    queue_id = send(instance, "all@localhost", mail=["RET=HDRS"], rcpt=["NOTIFY=FAILURE"])
    words, _, recipients, returned = parts(read_notice(instance, queue_id))
    assert "\n<a@fail.example> (expanded from <all@localhost>): no such user here\n" in words
    assert recipients[0]["Original-Recipient"] == "rfc822;all@localhost"
    assert returned.get_content_type() == "text/rfc822-headers"
    assert returned["Content-Description"] == "Undelivered Message Headers"
    assert "Subject: hello" in returned.get_content() and "the body" not in returned.get_content()
    ended(instance, silent)
    ended(instance, other)
    assert not [line for line in instance.lines() if "notification" in line and queue_id not in line]


def test_what_is_returned_is_what_came(make_routed):
    instance = make_routed(bounce_size_limit="20000").start()
    body = "".join(f"{'.' * (n % 4)}line {n}\r\n" for n in range(100)) + "caf\u00e9\r\n--boundary\r\nFrom here\r\n"
    with instance.raw().hello() as c:
        for line in (f"MAIL FROM:<{ME}> BODY=8BITMIME", "RCPT TO:<a@fail.example>", "DATA"):
            assert c.ask(line)[0] in "23"
        c.send(b"Subject: bytes\r\n\r\n" + re.sub(r"(?m)^\.", "..", body).encode() + b".\r\n")
        queue_id = c.reply().split()[-1]
    notice = read_notice(instance, queue_id)
    assert notice["Content-Transfer-Encoding"] == "8bit"
    _, _, _, returned = parts(notice)
    assert returned["Content-Transfer-Encoding"] == "8bit"
    content = returned.get_payload(0).get_payload(decode=True).decode()
    assert content.replace("\n>From", "\nFrom") == body.replace("\r\n", "\n")
    for text in ("x" * 60 + "\r\n") * 400, ("y" * 70 + "\r\n") * 2000:       # in the frame, and in a file
        large = send(instance, "a@fail.example", text="Subject: large\r\n\r\n" + text)
        _, _, _, returned = parts(read_notice(instance, large))
        assert returned.get_content_type() == "text/rfc822-headers"
        assert "Subject: large" in returned.get_content() and text[:50] not in returned.get_content()
    instance.configure(bounce_size_limit="1000000")
    instance.gatepost("reload")
    large = send(instance, "a@fail.example", text="Subject: large\r\n\r\n" + text)
    _, _, _, returned = parts(read_notice(instance, large))
    assert returned.get_payload(0).get_content().count("y" * 70) == 2000


def test_a_delay_is_told_once(make_routed):
    instance = make_routed(delay_warning_time="1s", minimal_backoff_time="1s",
                             maximal_backoff_time="1s", notify_classes="delay").start()
    queue_id = send(instance, "a@later.example")
    notice = read_notice(instance, queue_id, "sender delay")
    assert notice["Subject"] == "Delayed Mail (still being retried)"
    words, _, recipients, returned = parts(notice)
    assert "\n<a@later.example>: nobody at home\n" in words
    assert (recipients[0]["Action"], recipients[0]["Status"]) == ("delayed", "4.4.1")
    assert re.match(r"\w{3}, ", recipients[0]["Will-Retry-Until"])
    assert returned.get_content_type() == "text/rfc822-headers"
    copy = read_notice(instance, queue_id, "postmaster delay")
    assert copy["Subject"] == "Postmaster Warning: Delayed Mail"
    assert copy["Auto-Submitted"] == "auto-generated"
    assert copy["Return-Path"].startswith("<double-bounce@")
    attempts = len(instance.wait_log(rf"{queue_id}: to=.*status=deferred"))
    instance.wait_log(rf"{queue_id}: to=.*status=deferred", attempts + 2)
    assert len([line for line in instance.lines() if f"{queue_id}: sender delay" in line]) == 1


def test_who_heard_of_a_delay_hears_of_its_end(make_instance):
    with Sink() as sink:
        instance = make_instance(delay_warning_time="1s", minimal_backoff_time="1s", maximal_backoff_time="1s",
                                 confirm_delay_cleared="yes", default_transport="retry:4.4.1 nobody at home").start()
        queue_id = send(instance, ["a@remote.example"])
        silent = send(instance, ["b@remote.example"], rcpt=["NOTIFY=FAILURE"])
        read_notice(instance, queue_id, "sender delay")
        instance.wait_log(f"{silent}: service bounce|{silent}: to=.*deferred", 2)
        # What is known of it outlives a stop.
        instance.stop()
        instance.configure(default_transport=f"smtp:[127.0.0.1]:{sink.port}")
        instance.start()
        run("postqueue", "-c", instance.etc, "-f")
        notice = read_notice(instance, queue_id, "sender delivery status")
        assert notice["Subject"] == "Successful Mail Delivery Report"
        _, _, recipients, _ = parts(notice)
        assert [(r["Final-Recipient"], r["Action"]) for r in recipients] == [("rfc822; a@remote.example", "relayed")]
        ended(instance, queue_id)
        ended(instance, silent)
        # In time: nobody is told.
        quick = send(instance, "c@remote.example")
        ended(instance, quick)
        assert not [line for line in instance.lines() if re.search(f"({silent}|{quick}): sender delivery", line)]


def test_success_is_told_when_it_was_asked_for(make_routed):
    instance = make_routed()
    (instance.etc / "aliases").write_text(f"postmaster: {USER}\ntwo: {USER}, a@fail.example\none: b@gone.example\n")
    run("newaliases", "-c", instance.etc)
    instance.start()
    queue_id = send(instance, ME, rcpt=["NOTIFY=SUCCESS,FAILURE"])
    notice = read_notice(instance, queue_id, "sender delivery status")
    assert notice["Subject"] == "Successful Mail Delivery Report"
    _, _, recipients, returned = parts(notice)
    assert [(r["Action"], r["Status"]) for r in recipients] == [("delivered", "2.0.0")]
    assert recipients[0]["Diagnostic-Code"] == "X-Postfix; delivered to mailbox"
    assert returned.get_content_type() == "text/rfc822-headers"
    # Several places: told as expanded, and none of them again.
    queue_id = send(instance, "two@localhost", rcpt=["NOTIFY=SUCCESS"])
    _, _, recipients, _ = parts(read_notice(instance, queue_id, "sender delivery status"))
    assert [r["Action"] for r in recipients] == ["expanded"]
    new_id = re.search(r"forwarded as (\w+)", instance.wait_log(f"{queue_id}: to=.*forwarded as")[0])[1]
    ended(instance, new_id)
    assert not [line for line in instance.lines() if f"{new_id}: sender" in line]
    # A single new address keeps the wishes, and what the sender called it.
    queue_id = send(instance, "one@localhost", rcpt=["NOTIFY=SUCCESS,FAILURE"])
    new_id = re.search(r"forwarded as (\w+)", instance.wait_log(f"{queue_id}: to=.*forwarded as")[0])[1]
    _, _, recipients, _ = parts(read_notice(instance, new_id))
    assert recipients[0]["Original-Recipient"] == "rfc822;one@localhost"
    ended(instance, queue_id)
    assert not [line for line in instance.lines() if f"{queue_id}: sender" in line]
    quiet = send(instance, ME)
    ended(instance, quiet)
    assert not [line for line in instance.lines() if f"{quiet}: sender" in line]


def test_notices_end(make_routed):
    """Whatever fails of them: queue empty, nobody told twice."""
    instance = make_routed().start()
    queue_id = send(instance, "a@fail.example", sender="nobody@gone.example")
    line = instance.wait_log(f"{queue_id}: sender non-delivery notification: ")[0]
    ended(instance, queue_id)
    ended(instance, line.split()[-1])
    assert len(instance.mbox()) == 0
    instance.configure(notify_classes="2bounce")
    instance.gatepost("reload")
    queue_id = send(instance, "a@fail.example", sender="")
    notice = read_notice(instance, queue_id, "postmaster non-delivery")
    assert notice["Subject"] == "Postmaster Copy: Undelivered Mail"
    _, message, _, returned = parts(notice)
    assert message["X-Postfix-Sender"] is None
    assert returned.get_payload(0)["Subject"] == "hello"
    instance.configure(**{"notify_classes": "bounce", "2bounce_notice_recipient": "b@gone.example",
                          "bounce_notice_recipient": "c@gone.example"})
    instance.gatepost("reload")
    queue_id = send(instance, "a@fail.example", sender="")
    instance.wait_log("warning: .*: undeliverable postmaster notification discarded")
    queue_id = send(instance, "a@fail.example")
    assert "the body" in str(read_notice(instance, queue_id))
    instance.wait_log("warning: .*: undeliverable postmaster notification discarded", 2)
    wait_until("an empty queue", lambda: "queue is empty" in run("postqueue", "-c", instance.etc, "-p").stdout)


def test_answers_to_postmaster_notices_are_taken_and_dropped(instance):
    queue_id = send(instance, "double-bounce@localhost", sender="")
    instance.wait_log(f"{queue_id}: to=<double-bounce@localhost>.*undeliverable postmaster notification discarded")
    ended(instance, queue_id)


def test_many_recipients_are_one_notice(make_routed):
    instance = make_routed().start()
    queue_id = send(instance, [f"r{n}@fail.example" for n in range(200)])
    words, _, recipients, _ = parts(read_notice(instance, queue_id))
    assert len(recipients) == 200 and words.count("@fail.example>: no such user here") == 200
    ended(instance, queue_id)
    assert len([line for line in instance.lines() if "notification" in line]) == 1


def test_a_notice_about_an_address_in_utf8(make_routed):
    instance = make_routed().start()
    run("sendmail", "-C", instance.etc, "-f", ME, "-i", "\u00e4@fail.example", input="Subject: x\n\ny\n")
    line = instance.wait_log(": sender non-delivery notification: ")[0]
    queue_id, notice_id = re.search(r"(\w+): sender .*: (\w+)$", line).groups()
    ended(instance, queue_id)
    ended(instance, notice_id)
    words, report, returned = email.message_from_bytes(bytes(instance.mbox()[0]), policy=email.policy.default).iter_parts()
    assert (report.get_content_type(), returned.get_content_type()) == ("message/global-delivery-status", "message/global")
    assert words.get_content_charset() == "utf-8" and "<\u00e4@fail.example>: no such user here" in words.get_content()
    assert "Final-Recipient: utf-8; \u00e4@fail.example".encode() in bytes(instance.mbox()[0])


def test_odd_senders(make_routed):
    instance = make_routed(notify_classes="2bounce",
                             virtual_alias_maps=f"regexp:{{ {{/^\"a b\"@|^\"\\.x\"@/ {ME}}} }}").start()
    for sender in ('"a b"@localhost', '".x"@localhost'):
        queue_id = send(instance, "a@fail.example", sender=sender)
        notice = read_notice(instance, queue_id)
        assert dict(notice.raw_items())["To"].strip() == sender
        _, message, _, _ = parts(notice)
        assert message["X-Postfix-Sender"] == f"rfc822; {sender}"


def test_words_come_from_a_file(make_routed):
    instance = make_routed()
    path = instance.etc / "bounce.cf"
    path.write_text("failure_template = <<EOF\nCharset: utf-8\nFrom: Post <MAILER-DAEMON>\nSubject: Sorry\n\n"
                    "Caf\u00e9 $myhostname\n.\nEOF\ndelay_template = <<EOF\nX-Wrong: yes\n\ntext\nEOF\n")
    instance.configure(bounce_template_file=path)
    instance.start()
    queue_id = send(instance, "a@fail.example")
    notice = read_notice(instance, queue_id)
    assert notice["Subject"] == "Sorry" and str(notice["From"]).startswith("Post <MAILER-DAEMON@")
    words, _, _, _ = parts(notice)
    assert re.match("Caf\u00e9 \\S+\n\\.\n\n<a@fail", words)
    instance.wait_log(r"warning: \S+bounce.cf, line 10: .*X-Wrong: yes.*; the built-in text is used")


# --- sendmail -bv -----------------------------------------------------------------------------------


class Choosy(Session):
    def answer(self, word, command):
        refusals = {"no": "550 5.1.1 nobody of this name", "later": "451 4.7.1 come back"}
        refused = word == "RCPT" and refusals.get(command.split("<")[1].split("@")[0])
        if refused:
            self.say(f"{refused}\r\n")
        else:
            super().answer(word, command)


def verify(instance, *recipients, sender=ME):
    """Returns the queue id."""
    before = len(instance.lines())
    done = run("sendmail", "-C", instance.etc, "-f", sender, "-bv", *recipients, stdin=subprocess.DEVNULL)
    assert done.stderr == ""
    assert done.stdout == (f"Mail Delivery Status Report will be mailed to <{sender}>.\n" if sender else "")
    wait_until("pickup", lambda: any("uid=" in line for line in instance.lines()[before:]))
    return next(re.search(r"(\w+): uid=", line)[1] for line in instance.lines()[before:] if "uid=" in line)


def report(instance, queue_id):
    """Of each recipient its action, status and diagnostic code."""
    notice = read_notice(instance, queue_id, "sender delivery status")
    assert notice["Subject"] == "Mail Delivery Status Report" and notice["Return-Path"] == "<>"
    words, _, recipients, returned = parts(notice)
    assert returned.get_content_type() == "text/rfc822-headers"
    assert returned["Content-Description"] == "Message Headers"
    for r in recipients:
        assert f"\n<{r['Final-Recipient'].split()[1]}>" in words
    return {r["Final-Recipient"].split()[1]: (r["Action"], r["Status"], " ".join(r["Diagnostic-Code"].split()))
            for r in recipients}


def is_empty(instance):
    return "queue is empty" in run("postqueue", "-c", instance.etc, "-p").stdout


def test_recipients_are_verified_and_nothing_is_delivered(make_routed):
    with Sink(session=Choosy) as sink:
        instance = make_routed(default_transport=f"smtp:[127.0.0.1]:{sink.port}", notify_classes="bounce,delay",
                               virtual_alias_maps="inline:{ {virtual@localhost = more@remote.example} }")
        ran = instance.dir / "ran"
        (instance.etc / "aliases").write_text(
            f"postmaster: {USER}\none: {USER}\ntwo: {ME}, yes@remote.example\ngone: nosuchuser\n"
            f"command: \"|touch {ran}\"\nfile: {ran}\n")
        run("newaliases", "-c", instance.etc)
        instance.start()
        queue_id = verify(instance, ME, "nosuchuser@localhost", "one@localhost", "two@localhost", "gone@localhost",
                          "command@localhost", "file@localhost", "virtual@localhost", "yes@remote.example",
                          "no@remote.example", "later@remote.example", "a@fail.example", "a@later.example")
        found = report(instance, queue_id)
        ended(instance, queue_id)
        mailbox = ("deliverable", "2.0.0", "X-Postfix; delivers to mailbox")
        unknown = ("undeliverable", "5.1.1", 'X-Postfix; unknown user: "nosuchuser"')
        assert found == {
            ME: mailbox, "nosuchuser@localhost": unknown, "one@localhost": mailbox, "gone@localhost": unknown,
            "two@localhost": ("deliverable", "2.0.0", f"X-Postfix; aliased to {ME}, yes@remote.example"),
            "command@localhost": ("deliverable", "2.0.0", f'X-Postfix; delivers to "|touch {ran}"'),
            "file@localhost": ("deliverable", "2.0.0", f'X-Postfix; delivers to "{ran}"'),
            "yes@remote.example": ("deliverable", "2.1.5", "smtp; 250 2.1.5 Ok"),
            "more@remote.example": ("deliverable", "2.1.5", "smtp; 250 2.1.5 Ok"),
            "no@remote.example": ("undeliverable", "5.1.1", "smtp; 550 5.1.1 nobody of this name"),
            "later@remote.example": ("undeliverable", "4.7.1", "smtp; 451 4.7.1 come back"),
            "a@fail.example": ("undeliverable", "5.1.1", "X-Postfix; no such user here"),
            "a@later.example": ("undeliverable", "4.4.1", "X-Postfix; nobody at home"),
        }
        wait_until("an empty queue", lambda: is_empty(instance))
        lines = [line for line in instance.lines() if f"{queue_id}: to=" in line]
        assert len(lines) == len(found) and all(re.search(r"status=(un)?deliverable \(", line) for line in lines)
        assert len([line for line in instance.lines() if "notification" in line]) == 1
        assert len(instance.mbox()) == 1 and not ran.exists()
        assert sink.messages == [] and [c for c in sink.commands if c.startswith("DATA")] == []
        # The session is good for a message.
        other = send(instance, "yes@remote.example")
        ended(instance, other)
        assert len(sink.messages) == 1 and sink.connections == 1 and sink.commands.count("RSET") == 1
        # Nobody to tell, which is no failure.
        ended(instance, verify(instance, "no@remote.example", sender=""))
        assert len([line for line in instance.lines() if "notification" in line]) == 1


def test_a_verification_waits_for_the_start_and_for_its_report(make_routed):
    """What was found out outlives a stop, and is found out once."""
    with Sink(session=Choosy) as sink:
        instance = make_routed(default_transport=f"lmtp:inet:[127.0.0.1]:{sink.port}", bounce_service_name="nobody")
        path = instance.etc / "bounce.cf"
        path.write_text("verify_template = <<EOF\nSubject: Found out\n\nAs you asked\nEOF\n")
        instance.configure(bounce_template_file=path)
        instance.start().stop()
        run("sendmail", "-C", instance.etc, "-f", ME, "-bv", ME, "later@remote.example")
        instance.start()
        line = instance.wait_log("could not send the notice to the sender; it is tried again later")[0]
        queue_id = re.search(r"(\w+): service nobody", line)[1]
        instance.stop()
        instance.configure(bounce_service_name="bounce")
        instance.start()
        run("postqueue", "-c", instance.etc, "-f")
        notice = read_notice(instance, queue_id, "sender delivery status")
        assert notice["Subject"] == "Found out"
        words, _, recipients, _ = parts(notice)
        assert words.startswith("As you asked\n")
        assert [(r["Action"], r["Status"]) for r in recipients] == [("deliverable", "2.0.0"),
                                                                    ("undeliverable", "4.7.1")]
        ended(instance, queue_id)
        assert len([c for c in sink.commands if c.startswith("RCPT")]) == 1
        assert [c for c in sink.commands if c.startswith("DATA")] == []
        wait_until("an empty queue", lambda: is_empty(instance))


def test_a_verification_is_not_queued_anew(make_routed):
    instance = make_routed(default_transport="pickup").start()
    queue_id = verify(instance, "a@remote.example")
    assert report(instance, queue_id) == {
        "a@remote.example": ("undeliverable", "5.3.5", "X-Postfix; cannot requeue: it only asks about its recipients")}


# --- soft_bounce ------------------------------------------------------------------------------------


def test_with_soft_bounce_nothing_is_refused_or_returned_for_good(make_routed):
    with Sink(session=Choosy) as sink:
        instance = make_routed(soft_bounce="yes", default_transport=f"smtp:[127.0.0.1]:{sink.port}").start()
        with instance.raw().hello() as c:
            assert c.ask("FOO").startswith("400 4.5.2 ")
            assert c.ask(f"MAIL FROM:<{ME}> X=Y").startswith("455 4.5.4 ")
            assert c.ask(f"MAIL FROM:<{ME}>")[0] == "2"
            assert c.ask("RCPT TO:<nosuchuser@localhost>").startswith("450 4.1.1 ")
        assert "reject: RCPT from" in instance.wait_log(r": 450 4\.1\.1 <nosuchuser@localhost>")[0]
        failed = {"a@fail.example": "no such user here", "no@remote.example": "said: 550 5.1.1 nobody of this name"}
        for recipient, why in failed.items():
            queue_id = send(instance, recipient)
            instance.wait_log(rf"{queue_id}: to=<{recipient}>, .*dsn=5\.1\.1, status=SOFTBOUNCE \(.*{why}")
        listed = run("postqueue", "-c", instance.etc, "-p").stdout
        assert "in 2 Requests" in listed and all(recipient in listed for recipient in failed)
        # What is only asked about is told as it is.
        asked = verify(instance, "a@fail.example", "no@remote.example")
        assert {r: found[:2] for r, found in report(instance, asked).items()} == {
            r: ("undeliverable", "5.1.1") for r in failed}
        # Without it they are returned, for no status was recorded that is final.
        instance.configure(soft_bounce="no")
        instance.gatepost("reload")
        run("postqueue", "-c", instance.etc, "-f")
        instance.wait_log("status=bounced", 2)
        wait_until("an empty queue", lambda: is_empty(instance))


# --- transcripts of sessions --------------------------------------------------------------------------


def transcripts(instance, count):
    """The mails to the postmaster, once there are so many."""
    def read():
        found = [m for m in instance.mbox() if ": errors from " in str(m["Subject"])]
        return found if len(found) >= count else None
    return wait_until(f"{count} transcripts", read)


def test_sessions_that_went_wrong_are_told_to_the_postmaster(make_instance):
    instance = make_instance(notify_classes="protocol, policy", error_notice_recipient=ME, mail_name="Gatepost").start()
    with instance.raw().hello() as c:
        assert c.ask("FOO")[0] == "5"
        assert c.ask("AUTH PLAIN AHVzZXIAc2VjcmV0")[0] == "5"
        assert c.ask("AHVzZXIAc2VjcmV0")[0] == "5"
        assert c.ask("QUIT")[0] == "2"
    mail = transcripts(instance, 1)[0]
    assert mail["Subject"] == "Gatepost SMTP server: errors from localhost[127.0.0.1]"
    assert mail["To"] == ME and mail["Return-Path"].startswith("<double-bounce@")
    assert str(mail["From"]).startswith("Mail Delivery System <MAILER-DAEMON")
    text = mail.get_payload()
    assert text.startswith("Transcript of session follows.\n\n Out: 220 ")
    assert "\n In:  EHLO client.example\n Out: 250-" in text
    assert "\n In:  FOO\n Out: 500 5.5.2 Error: command not recognized\n" in text
    assert "\n In:  AUTH PLAIN (not shown)\n Out: 502" in text and "\n In:  (not shown)\n" in text
    assert "AHVz" not in text
    assert text.endswith(" In:  QUIT\n Out: 221 2.0.0 Bye\n\nFor other details, see the local mail logfile\n")
    # A refusal, in a session that ends in the middle.
    with instance.raw().hello() as c:
        c.ask("MAIL FROM:<a@b.example>")
        assert c.ask("RCPT TO:<nosuchuser@localhost>")[0] == "5"
    text = transcripts(instance, 2)[1].get_payload()
    assert "\n Out: 550 5.1.1 <nosuchuser@localhost>: Recipient address rejected" in text
    assert "\n\nSession aborted, reason: lost connection\n" in text
    # Neither a good session nor another class makes one.
    instance.deliver()
    instance.configure(notify_classes="resource, software")
    instance.gatepost("reload")
    with instance.raw().hello() as c:
        assert c.ask("FOO")[0] == "5"
    instance.deliver()
    assert len(transcripts(instance, 2)) == 2


class Babbler(Session):
    def answer(self, word, command):
        if word == "MAIL":
            self.say("501 5.5.4 what is this\r\n")
        else:
            super().answer(word, command)


def test_servers_that_make_no_sense_are_told_to_the_postmaster(make_instance):
    with Sink(session=Babbler) as sink:
        instance = make_instance(notify_classes="protocol", error_notice_recipient=ME, mail_name="Gatepost",
                                 default_transport=f"smtp:[127.0.0.1]:{sink.port}").start()
        send(instance, "a@remote.example", sender="")
        mail = transcripts(instance, 1)[0]
        assert mail["Subject"] == "Gatepost SMTP client: errors from 127.0.0.1[127.0.0.1]"
        text = mail.get_payload()
        assert "\n Out: EHLO " in text and "\n Out: MAIL FROM:<>" in text
        assert "\n In:  501 5.5.4 what is this\n" in text
