# SPDX-License-Identifier: ISC
"""What people read agrees with what there is: pages with programs and options, READMEs with files."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ["BUILD_DIRECTORY"])
DOCS = TOP / "docs"
SECOND_NAMES = {"postfix": "gatepost", "mailq": "sendmail"}
PROGRAMS = sorted(p.name for p in (BUILD / "bin").iterdir())
COMMANDS = [p for p in PROGRAMS if (DOCS / f"{SECOND_NAMES.get(p, p)}.1").exists()] + ["master"]
SERVICES = [p for p in PROGRAMS if p not in COMMANDS]


def page_of(program):
    return next(DOCS.glob(f"{SECOND_NAMES.get(program, program)}.[18]"), None)


def run(*arguments):
    return subprocess.run([str(a) for a in arguments], capture_output=True, text=True, timeout=60)


def test_every_program_has_its_page_and_every_page_its_program():
    assert [p for p in PROGRAMS if page_of(p) is None] == []
    assert [p.name for p in DOCS.glob("*.[18]") if p.stem not in PROGRAMS] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_a_page_has_the_options_that_the_command_has(command):
    text = page_of(command).read_text()
    usage = run(BUILD / "bin" / command, "--help").stdout
    options = set(re.findall(r"(?:^|[\s\[(|,])-([A-Za-z#])(?![A-Za-z])", usage))
    options |= {letter for group in re.findall(r"\[-([A-Za-z]{2,})\]", usage) for letter in group}
    documented = {letter for group in re.findall(r"(?:^\.(?:It |Op |Oo )?|\| )Fl ([A-Za-z#]+)", text, re.M)
                  for letter in group}
    assert options and options == documented


# Commands that share the code which reads their options.
READ_IN = {"postmap": "table_command.c", "postalias": "table_command.c"}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains_each_option_that_the_command_takes(command):
    usage = run(BUILD / "bin" / command, "--help").stdout
    synopsis = "\n".join(line for line in usage.splitlines() if re.match(r"usage:|\s+" + command + r"\b", line))
    explained = set(re.findall(r"(?<![\w-])-([A-Za-z#])(?=[\s,:;.]|$)",
                               "\n".join(line for line in usage.splitlines() if line not in synopsis)))
    listed = set(re.findall(r"(?:^|[\s\[(|,])-([A-Za-z#])(?![A-Za-z])", synopsis))
    listed |= {letter for group in re.findall(r"\[-([A-Za-z#]{2,})\]", synopsis) for letter in group}
    assert listed <= explained
    name = SECOND_NAMES.get(command, command)
    source = next(TOP.glob("*/" + READ_IN.get(name, f"{name}_main.c"))).read_text()
    for letters in re.findall(r'getopt(?:_long)?\(argc, argv, "\+?([^"]+)"', source):
        assert set(letters) - {":"} == listed | explained


@pytest.mark.parametrize("command", COMMANDS)
def test_help_and_page_have_the_same_words(command):
    """Long options, and what gatepost can be told to do."""
    usage, text = run(BUILD / "bin" / command, "--help").stdout, page_of(command).read_text()
    for option in re.findall(r"(?<!\S)\[?(--[a-z-]+)", usage):
        assert "Fl -" + option[2:] in text
    if SECOND_NAMES.get(command, command) == "gatepost":
        assert re.findall(r"^  ([a-z]+(?:-[a-z]+)*) ", usage, re.M) == re.findall(r"^\.It Cm (\S+)", text, re.M)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_is_started_by_hand_says_who_starts_it(service):
    done = run(BUILD / "bin" / service, "--help")
    assert done.returncode == 64 and f"started by Gatepost's master, not by hand; see master(8) and {service}(8)" \
        in done.stderr


def test_the_page_of_main_cf_has_every_parameter():
    items = re.findall(r"^\.It Va (\S+) Pq .*\n(.*)", (BUILD / "man/main.cf.5").read_text(), re.M)
    names = run(BUILD / "bin/postconf", "-dH").stdout.split()
    assert [name for name, _ in items] == names
    assert [name for name, meaning in items if not meaning.strip("\\& ")] == []


# Read by other values alone, as $name.
REFERRED_TO = {"mail_version", "multi_instance_name", "process_name", "service_name", "stress"}


def test_every_parameter_is_read_by_a_program_and_one_without_effect_by_none():
    """In quotation marks where it is asked for by name; or a row of a table of settings whose member is used."""
    rows = re.findall(r'^([A-Z]+)\("([^"]+)"', (TOP / "common/conf/parameters.def").read_text(), re.M)
    code = "\n".join(re.sub(r"/\*.*?\*/", "", p.read_text(), flags=re.S) for p in SOURCES
                     if p.name != "parameters.c" and "tests" not in p.relative_to(TOP).parts)
    suffixes = {"default_" + s for s in re.findall(r'(?:limit_of|feedback_of|_for)\([^"]*"(\w+)"\)', code)}
    suffixes |= {s.replace("default_", "local_") for s in suffixes}
    filled = set(re.findall(r"^\t[A-Z]+\((\w+)\),$", code, re.M))
    used = set(re.findall(r"(?:->|\.)(\w+)\b", code))
    read = set(re.findall(r'"(\w+)"', code)) | suffixes | (filled & used) | REFERRED_TO
    assert [name for kind, name in rows if (name in read) == (kind == "NOTED")] == []


@pytest.mark.skipif(shutil.which("groff") is None, reason="needs groff")
def test_pages_render_without_a_warning():
    for page in PAGES:
        done = run("groff", "-mandoc", "-ww", "-z", page)
        assert (done.returncode, done.stderr) == (0, ""), page


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="needs mandoc")
def test_pages_say_what_their_macros_mean():
    done = run("mandoc", "-T", "lint", "-W", "warning", *PAGES)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_pages_refer_to_pages_that_there_are():
    """Of Gatepost's programs; what else there is on a system is not ours to know."""
    ours = {p.name for p in PAGES}
    wrong = {(page.name, f"{name}.{section}") for page in PAGES
             for name, section in re.findall(r"^\.Xr (\S+) ([1-8])", page.read_text(), re.M)
             if f"{name}.{section}" not in ours and any(p.stem == name for p in PAGES)}
    assert wrong == set()


PAGES = [page for page in [*sorted(DOCS.glob("*.[1-8]")), BUILD / "man/main.cf.5"]
         if not page.read_text().startswith(".so ")]  # the page of a second name
SOURCES = [p for p in TOP.rglob("*.[ch]") if not p.relative_to(TOP).parts[0].startswith("build")]
FOLDERS = {p.parent for p in SOURCES if "tests" not in p.relative_to(TOP).parts}
def test_every_folder_has_a_readme_that_names_only_files_that_are_there():
    there = {p.name for p in [*SOURCES, *TOP.glob("*/*"), *TOP.glob("tests/*/*"), *TOP.glob("common/*/*")]}
    folders = FOLDERS | {TOP / name for name in ("bench", "conf", "docs", "packages", "scripts", "tests")}
    assert sorted(str(f) for f in folders if not (f / "README.md").exists()) == []
    missing = [(str(f), name) for f in sorted(folders)
               for name in re.findall(r"\b\w+\.(?:c|h|py|def)\b", (f / "README.md").read_text())
               if name not in there]
    assert missing == []


def test_the_readme_of_a_folder_names_every_source_file_in_it():
    named = {f: set(re.findall(r"[\w-]+(?:\.\w+)?", (f / "README.md").read_text()))
             for f in FOLDERS | {TOP / name for name in ("scripts", "packages", "bench")}}
    unnamed = [str(p) for p in SOURCES if p.parent in named
               and p.name not in named[p.parent]
               and not (p.suffix == ".h" and f"{p.stem}.c" in named[p.parent] and p.with_suffix(".c").exists())]
    unnamed += [str(p) for name in ("scripts", "packages", "bench") for p in (TOP / name).iterdir()
                if p.is_file() and p.name not in named[TOP / name] | {"README.md"}]
    assert unnamed == []


TEXTS = [TOP / "README.md", TOP / "HACKING.md", TOP / "INSTALL", *(TOP / n / "README.md" for n in ("tests", "common"))]


@pytest.mark.parametrize("page", TEXTS, ids=lambda p: str(p.relative_to(TOP)))
def test_a_text_names_only_make_targets_and_files_that_there_are(page):
    text = page.read_text()
    targets = set(re.findall(r"^([a-z][a-z -]*):", (TOP / "Makefile").read_text(), re.M))
    targets = {word for line in targets for word in line.split()}
    goals = [goal for words in re.findall(r"(?:^    |`|/ )make ((?:[A-Z]+=\S+ |[a-z][a-z/_-]*(?![\w=]) ?)+)", text, re.M)
             for goal in re.findall(r"(?<!\S)[a-z-]+(?!\S)", words)]
    assert [goal for goal in goals if goal not in targets] == []
    roots = "|".join(sorted(p.name for p in TOP.iterdir() if p.is_dir() and not p.name.startswith((".", "build", "run"))))
    paths = set(re.findall(rf"(?<![\w/.-])((?:{roots})/[\w./*-]*\w)", text))
    paths |= {f"**/{name}" for name in re.findall(r"(?<![\w/.*])[\w-]+\.(?:c|h|py|def|gdb)\b", text)}
    assert [path for path in sorted(paths) if not re.search("NAME|FOLDER|FILE", path) and not any(TOP.glob(path))] == []
