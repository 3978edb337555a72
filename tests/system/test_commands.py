# SPDX-License-Identifier: ISC
"""Commands that need no running instance: postmap, postalias, newaliases, postconf."""
import os
import stat
import subprocess

import pytest

BIN = os.path.join(os.environ["BUILD_DIRECTORY"], "bin")


def run(program, *arguments, input=None, cwd=None):
    return subprocess.run([os.path.join(BIN, program), *arguments], input=input, cwd=cwd,
                          capture_output=True, text=True, timeout=60)


@pytest.fixture
def etc(tmp_path):
    (tmp_path / "main.cf").write_text(
        "# a comment\n"
        "myhostname = mail.example.com\n"
        "mydestination = $myhostname,\n"
        "    localhost\n"
        "relayhost =\n"
        f"alias_database = hash:{tmp_path}/aliases btree:{tmp_path}/more\n")
    return tmp_path


def make_map(path, text, *options, table="hash"):
    path.write_text(text)
    return run("postmap", *options, f"{table}:{path}")


@pytest.mark.parametrize("program", ["postmap", "postalias", "newaliases", "postconf", "postqueue", "postsuper", "postcat", "postlog"])
def test_help_goes_to_standard_output(program):
    result = run(program, "--help")
    assert result.returncode == 0
    assert result.stdout.startswith("usage: " + program)
    assert result.stderr == ""


@pytest.mark.parametrize("arguments", [
    ["postmap"], ["postmap", "-Z", "hash:x"], ["postmap", "-n", "hash:x"],
    ["postmap", "-s", "-q", "k", "hash:x"], ["postalias"], ["newaliases", "x"], ["postconf", "-Z"],
    ["postconf", "-d", "-n"], ["postqueue"], ["postqueue", "-f", "-i"], ["postqueue", "-p", "-j"], ["postcat"]])
def test_a_wrong_command_line_gets_the_usage_and_64(arguments):
    result = run(*arguments)
    assert result.returncode == 64
    assert "usage: " + arguments[0] in result.stderr
    assert result.stdout == ""


# gatepost init

@pytest.mark.parametrize("name", ["a b", "a,b", "a$b", "a#b", "a{b", 'a"b'])
def test_a_directory_that_main_cf_can_not_name_is_refused(tmp_path, name):
    made = run("gatepost", "init", str(tmp_path / name))
    assert made.returncode != 0 and "main.cf cannot express this name" in made.stderr
    assert not (tmp_path / name / "etc").exists()


# postmap

@pytest.mark.parametrize("table", ["hash", "btree"])
def test_a_map_answers_what_its_source_says(tmp_path, table):
    made = make_map(tmp_path / "map", "# c\nAlpha one two\n  three\n\"a b\" c\n", table=table)
    assert (made.returncode, made.stderr) == (0, "")
    name = f"{table}:{tmp_path}/map"
    asked = run("postmap", "-q", "ALPHA", name)
    assert (asked.returncode, asked.stdout) == (0, "one two  three\n")
    assert run("postmap", "-q", '"a b"', name).stdout == "c\n"
    missing = run("postmap", "-q", "beta", name)
    assert (missing.returncode, missing.stdout, missing.stderr) == (1, "", "")


def test_keys_of_standard_input_are_asked_one_by_one(tmp_path):
    make_map(tmp_path / "map", "a 1\nc 3\n")
    asked = run("postmap", "-q", "-", f"hash:{tmp_path}/map", input="a\nb\nC")
    assert (asked.returncode, asked.stdout) == (0, "a\t1\nC\t3\n")
    assert run("postmap", "-q", "-", f"hash:{tmp_path}/map", input="b\n").returncode == 1


@pytest.mark.parametrize("text, line, why", [
    ("a 1\nb\n", 2, "key whitespace value"),
    ("a 1\n\n# c\n\"b 2\n", 4, "without its partner"),
    (" a 1\n", 1, "continues nothing"),
    ("a 1\nA 2\n", 2, "duplicate entry"),
    ("a: 1\n", 1, "alias file"),
])
def test_a_line_that_is_wrong_is_named(tmp_path, text, line, why):
    made = make_map(tmp_path / "map", text)
    assert made.returncode == 0
    assert f"postmap: warning: {tmp_path}/map, line {line}: " in made.stderr
    assert why in made.stderr


def test_of_two_entries_the_first_counts_unless_replacing(tmp_path):
    name = f"hash:{tmp_path}/map"
    for option, value, warnings in (([], "1", 1), (["-w"], "1", 0), (["-r"], "2", 0)):
        made = make_map(tmp_path / "map", "a 1\na 2\n", *option)
        assert made.stderr.count("warning") == warnings
        assert run("postmap", "-q", "a", name).stdout == value + "\n"


def test_upper_case_in_keys_is_kept_on_request(tmp_path):
    make_map(tmp_path / "map", "Alpha 1\n", "-f")
    name = f"hash:{tmp_path}/map"
    assert run("postmap", "-f", "-q", "Alpha", name).stdout == "1\n"
    assert run("postmap", "-q", "Alpha", name).returncode == 1


def test_entries_are_added_and_deleted_singly(tmp_path):
    make_map(tmp_path / "map", "a 1\nb 2\n")
    name = f"hash:{tmp_path}/map"
    added = run("postmap", "-i", name, input="b 9\nc 3\n")
    assert added.returncode == 0 and "standard input, line 1: duplicate entry" in added.stderr
    assert sorted(run("postmap", "-s", name).stdout.splitlines()) == ["a\t1", "b\t2", "c\t3"]
    assert run("postmap", "-i", "-r", name, input="b 9\n").stderr == ""
    assert run("postmap", "-d", "A", name).returncode == 0
    assert run("postmap", "-d", "a", name).returncode == 1
    assert run("postmap", "-d", "-", name, input="x\nc\n").returncode == 0
    assert run("postmap", "-s", name).stdout == "b\t9\n"


def test_adding_makes_a_table_that_is_not_there(tmp_path):
    assert run("postmap", "-i", f"hash:{tmp_path}/new", input="a 1\n").returncode == 0
    assert run("postmap", "-q", "a", f"hash:{tmp_path}/new").stdout == "1\n"


def test_a_new_table_has_the_mode_of_its_source(tmp_path):
    for mode, options, wanted in ((0o600, [], 0o600), (0o640, [], 0o640), (0o600, ["-p"], 0o644)):
        path = tmp_path / f"map{mode}{len(options)}"
        path.write_text("a 1\n")
        path.chmod(mode)
        run("postmap", *options, f"hash:{path}")
        assert stat.S_IMODE(os.stat(f"{path}.db").st_mode) == wanted


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_for_root_the_table_belongs_to_who_owns_the_source(workspace):
    workspace.chmod(0o777)
    path = workspace / "map"
    path.write_text("a 1\n")
    os.chown(path, 12345, 12345)
    assert run("postmap", f"hash:{path}").returncode == 0
    assert os.stat(f"{path}.db").st_uid == 12345


def test_a_failed_build_leaves_the_old_table(tmp_path):
    make_map(tmp_path / "map", "a 1\n")
    (tmp_path / "map").unlink()
    failed = run("postmap", f"hash:{tmp_path}/map")
    assert failed.returncode == 1 and "No such file" in failed.stderr
    assert run("postmap", "-q", "a", f"hash:{tmp_path}/map").stdout == "1\n"


@pytest.mark.parametrize("arguments", [
    ["cidr:x"], ["-s", "static:x"], ["-d", "k", "regexp:x"], ["-q", "k", "nosuch:x"]])
def test_a_type_that_can_not_do_it_is_named(arguments):
    result = run("postmap", *arguments)
    assert result.returncode == 1
    assert arguments[-1].split(":")[0] in result.stderr


def test_a_table_without_a_type_has_the_default_type(etc):
    (etc / "map").write_text("a 1\n")
    assert run("postmap", "-c", str(etc), str(etc / "map")).returncode == 0
    assert run("postmap", "-q", "a", f"hash:{etc}/map").stdout == "1\n"


# postalias, newaliases

ALIASES = ('root: alice, bob\n"first last": "|cmd a, b",\n  more\nOwner-x: y\n'
           "nothing\na@b: c\nempty:\n")


def test_an_alias_table_answers_what_its_source_says(tmp_path):
    (tmp_path / "aliases").write_text(ALIASES)
    name = f"hash:{tmp_path}/aliases"
    made = run("postalias", name)
    assert made.returncode == 0
    for line in (5, 6, 7):
        assert f"{tmp_path}/aliases, line {line}: " in made.stderr
    for key, value in (("root", "alice, bob"), ("first last", '"|cmd a, b",  more'), ("owner-X", "y")):
        assert run("postalias", "-q", key, name).stdout == value + "\n"
    assert run("postalias", "-q", "a@b", name).returncode == 1
    assert run("postalias", "-q", "-", name, input="ROOT\n").stdout == "ROOT:\talice, bob\n"
    assert "root:\talice, bob\n" in run("postalias", "-s", name).stdout


def test_newaliases_makes_all_of_alias_database(etc):
    (etc / "aliases").write_text("root: a\n")
    (etc / "more").write_text("list: b\n")
    made = run("newaliases", "-c", str(etc))
    assert (made.returncode, made.stderr) == (0, "")
    assert run("postalias", "-q", "root", f"hash:{etc}/aliases").stdout == "a\n"
    assert run("postalias", "-q", "list", f"btree:{etc}/more").stdout == "b\n"


def test_newaliases_goes_on_after_one_that_fails(etc):
    (etc / "more").write_text("list: b\n")
    made = run("newaliases", "-c", str(etc))
    assert made.returncode == 1 and "aliases: No such file" in made.stderr
    assert (etc / "more.db").exists()


# postconf

def postconf(etc, *arguments):
    return run("postconf", "-c", str(etc), *arguments)


def test_what_main_cf_sets_is_shown_sorted(etc):
    shown = postconf(etc, "-n")
    assert shown.stdout.splitlines() == [
        f"alias_database = hash:{etc}/aliases btree:{etc}/more",
        "mydestination = $myhostname, localhost",
        "myhostname = mail.example.com",
        "relayhost ="]


def test_values_are_expanded_on_request(etc):
    assert postconf(etc, "-x", "mydestination").stdout == \
        "mydestination = mail.example.com, localhost\n"
    assert postconf(etc, "-hx", "myorigin").stdout == "mail.example.com\n"
    assert postconf(etc, "myorigin").stdout == "myorigin = $myhostname\n"


def test_names_or_values_alone(etc):
    assert postconf(etc, "-h", "relayhost", "myhostname").stdout == "\nmail.example.com\n"
    assert postconf(etc, "-H", "relayhost", "myhostname").stdout == "relayhost\nmyhostname\n"


def test_defaults_need_no_main_cf(tmp_path):
    shown = run("postconf", "-d", "-c", str(tmp_path), "mydestination", "mail_name")
    assert shown.stdout == ("mydestination = $myhostname, localhost.$mydomain, localhost\n"
                            "mail_name = Gatepost\n")
    assert run("postconf", "-dh", "-c", str(tmp_path), "myhostname").stdout.strip() != ""


def test_an_unknown_parameter_is_named(etc):
    shown = postconf(etc, "nosuch", "relayhost")
    assert shown.stderr == "postconf: warning: nosuch: unknown parameter\n"
    assert (shown.returncode, shown.stdout) == (0, "relayhost =\n")


def test_a_parameter_that_nothing_uses_is_named_with_its_line(etc):
    with open(etc / "main.cf", "a") as f:
        f.write("myhostnam = x\n")
    shown = postconf(etc, "-n")
    assert f"{etc}/main.cf, line 7: unused parameter: myhostnam=x" in shown.stderr


def test_a_setting_can_be_tried(etc):
    assert postconf(etc, "-o", "relayhost=[a]:25", "relayhost").stdout == "relayhost = [a]:25\n"
    assert postconf(etc, "relayhost").stdout == "relayhost =\n"


@pytest.mark.parametrize("option", [["-e"], []])
def test_an_edit_changes_values_and_nothing_else(etc, option):
    before = (etc / "main.cf").read_text()
    assert postconf(etc, *option, "mydestination = a, b", "mail_name=X").returncode == 0
    assert (etc / "main.cf").read_text() == before.replace(
        "$myhostname,\n    localhost", "a, b") + "mail_name = X\n"


@pytest.mark.parametrize("assignment", ["relayhost", "two words = x", "relayhost = a\nb = c"])
def test_a_wrong_edit_changes_nothing(etc, assignment):
    before = (etc / "main.cf").read_text()
    assert postconf(etc, "-e", "mail_name = X", assignment).returncode == 1
    assert (etc / "main.cf").read_text() == before


def test_a_line_that_means_nothing_is_named(etc):
    (etc / "main.cf").write_text("a = b\nnonsense\n")
    shown = postconf(etc, "-n")
    assert shown.returncode == 1
    assert f"{etc}/main.cf, line 2: " in shown.stderr


def test_types_of_tables_are_listed():
    types = run("postconf", "-m").stdout.split()
    assert types == sorted(types)
    assert {"hash", "btree", "cidr", "regexp", "pcre", "static", "inline"} <= set(types)


# postqueue

def test_a_suite_that_is_down_is_said_to_be_down(etc):
    (etc / "queue").mkdir()
    postconf(etc, f"queue_directory={etc}/queue")
    listed = run("postqueue", "-c", str(etc), "-p")
    assert "Mail system is down -- accessing queue directly" in listed.stderr
    assert listed.returncode == 0 and listed.stdout == "Mail queue is empty\n"
    flushed = run("postqueue", "-c", str(etc), "-f")
    assert flushed.returncode == 69
    assert "Cannot flush mail queue - mail system is down" in flushed.stderr
