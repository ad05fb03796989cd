"""What an image holds is said by the commit, in one file, and nothing in it can reach the machine that builds."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from buildkit.config.holds import parse_holds
from buildkit.config.values import Holds
from buildkit.errors import InvalidInput, NotFound

FULL = b"""
base = "registry.example/bases/python:3.12"
platforms = ["linux/arm64/v8", "linux/amd64"]
prefix = "/srv/code"
include = ["src/"]
exclude = ["*.md", "!README.md"]
pythonpath = ["src", "/opt/more"]
path = ["bin"]
workdir = "work"
user = "1000:1000"
entrypoint = ["python", "-m", "flow"]
cmd = []
source = "https://git.example/team/project"
version = "1.2"
submodules = "skip"
case_collisions = "refuse"
dependencies = false
lock = "env/pylock.toml"
extras = ["gpu", "dev", "gpu"]
groups = []

[labels]
team = "vision"

[environment]
LEVEL = "info"
THREADS = "1"

[lfs]
include = ["models/*.bin"]
pointers = "drop"

[variants.training]
base = "registry.example/bases/cuda:12"
entrypoint = []
labels.purpose = "training"
dependencies = true
extras = []
groups = ["train"]
environment = { THREADS = "8" }
"""


def toml(text: str | bytes) -> Holds:
    """The settings of a commit whose treeship.toml is `text`."""
    return parse_holds({"treeship.toml": text.encode() if isinstance(text, str) else text}, "commit abc")


def refusal(text: str | bytes) -> str:
    """Why it is refused."""
    with pytest.raises(InvalidInput) as caught:
        toml(text)
    return str(caught.value)


def test_everything_that_can_be_said_arrives_checked_and_absolute() -> None:
    holds = toml(FULL)
    assert holds.base == "registry.example/bases/python:3.12"
    assert holds.platforms == ("linux/arm64", "linux/amd64")
    assert holds.prefix == "/srv/code"
    assert (holds.include, holds.exclude) == (("src/",), ("*.md", "!README.md"))
    assert holds.pythonpath == ("/srv/code/src", "/opt/more")
    assert holds.path == ("/srv/code/bin",)
    assert holds.workdir == "/srv/code/work"
    assert holds.user == "1000:1000"
    assert holds.entrypoint == ("python", "-m", "flow")
    assert holds.cmd == ()
    assert holds.labels == {"team": "vision"}
    assert (holds.submodules, holds.case_collisions) == ("skip", "refuse")
    assert (holds.lfs_include, holds.lfs_pointers) == (("models/*.bin",), "drop")
    assert (holds.dependencies, holds.lock) == (False, "env/pylock.toml")
    assert (holds.extras, holds.groups) == (("gpu", "dev"), ())
    assert holds.origins["lfs.include"] == "treeship.toml at commit abc"
    assert "reuse.from" not in holds.origins


def test_without_files_the_working_directory_and_the_python_path_are_the_prefix() -> None:
    holds = parse_holds({}, "commit abc")
    assert (holds.prefix, holds.workdir, holds.pythonpath) == ("/app", "/app", ("/app",))
    assert (holds.base, holds.user, holds.entrypoint, holds.cmd, holds.path) == ("", "", None, None, ())
    assert (holds.dependencies, holds.lock, holds.extras, holds.groups) == (True, "", (), None)


@pytest.mark.parametrize("prefix", ["/code", "/"])
def test_they_follow_the_prefix(prefix: str) -> None:
    holds = toml(f'prefix = "{prefix}"')
    assert (holds.workdir, holds.pythonpath) == (prefix, (prefix,))
    assert toml(f'prefix = "{prefix}"\npythonpath = ["lib"]').pythonpath == (prefix.rstrip("/") + "/lib",)


def test_an_empty_python_path_is_something_else_than_none() -> None:
    assert toml("pythonpath = []").pythonpath == ()


def test_a_variant_replaces_what_it_names_and_adds_labels_and_environment() -> None:
    holds = toml(FULL)
    training = holds.variant("training")
    assert training.base == "registry.example/bases/cuda:12"
    assert training.entrypoint == ()
    assert training.labels == {"team": "vision", "purpose": "training"}
    assert training.environment == {"LEVEL": "info", "THREADS": "8"}
    assert (training.dependencies, training.extras, training.groups) == (True, (), ("train",))
    assert training.user == holds.user
    assert training.selected == "training"
    assert training.origins["base"] == "[variants.training]"
    assert holds.variant("") is holds


def test_an_unknown_variant_names_those_that_there_are() -> None:
    with pytest.raises(NotFound, match="training"):
        toml(FULL).variant("devbox")


def test_the_command_line_wins_over_commit_and_variant() -> None:
    holds = toml(FULL).variant("training").override(base="oci:/tmp/base", platforms=["linux/s390x"])
    assert (holds.base, holds.platforms) == ("oci:/tmp/base", ("linux/s390x",))
    assert holds.origins["base"] == "flag"


def test_the_command_line_can_only_leave_dependencies_out_or_say_nothing_of_them() -> None:
    assert toml("").override(dependencies=False).dependencies is False
    assert toml("dependencies = false").override().dependencies is False
    assert toml("").override(dependencies=False).origins["dependencies"] == "flag"


@pytest.mark.parametrize(
    "text",
    ["dependencies = false", 'lock = "uv.lock"', 'extras = ["gpu"]', "groups = []", 'groups = ["dev"]'],
)
def test_what_decides_dependencies_is_part_of_the_canonical_form(text: str) -> None:
    assert toml(text).canonical() != toml("").canonical()


def test_the_canonical_form_is_equal_for_equal_contents_wherever_they_are_from() -> None:
    shared = b'[tool.treeship]\nenvironment = { B = "2", A = "1" }\nbase = "scratch"'
    one = parse_holds({"pyproject.toml": shared}, "commit abc")
    other = toml(
        'base = "scratch"\nto = ["x.example/y"]\n[environment]\nA = "1"\nB = "2"\n[variants.x]\nuser = "1"'
    )
    assert one.canonical() == other.canonical()
    assert one.canonical() != toml('base = "scratch"').canonical()
    assert other.variant("x").canonical() != other.canonical()


def test_pyproject_is_an_equal_place_but_not_a_second_one() -> None:
    pyproject = b'[project]\nname = "treeship-user"\n[tool.treeship]\nuser = "me"\n'
    assert parse_holds({"pyproject.toml": pyproject}, "").user == "me"
    assert parse_holds({"pyproject.toml": pyproject, "treeship.toml": b"# later\n"}, "").user == "me"
    with pytest.raises(InvalidInput, match=r"both treeship.toml and \[tool.treeship\] in pyproject.toml"):
        parse_holds({"pyproject.toml": pyproject, "treeship.toml": b'user = "me"'}, "")


def test_a_pyproject_that_says_nothing_of_treeship_need_not_even_be_valid() -> None:
    assert parse_holds({"pyproject.toml": b"[[[ not toml"}, "") == Holds()


def test_nothing_is_imported_where_there_is_nothing_to_read() -> None:
    program = (
        "import sys; from buildkit.config.holds import parse_holds; from buildkit.config.places import resolve_places;"
        "parse_holds({'pyproject.toml': b'[project]'}, ''); resolve_places({'to': ['a.example/b']}, {'HOME': '/root'});"
        "print([name for name in ('msgspec', 'tomllib', 'difflib') if name in sys.modules])"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout
    assert output.strip() == "[]"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('bse = "x"', ["treeship.toml at commit abc", "unknown key 'bse'", "did you mean 'base'?"]),
        ('[lfs]\ninclde = ["x"]', ["'lfs.inclde'", "'lfs.include'"]),
        ('url = "https://x"', ["'lfs.url'"]),
        ('[variants.ci]\nusr = "x"', ["'variants.ci.usr'", "'variants.ci.user'"]),
        ('[variants.ci]\nlock = "uv.lock"', ["unknown key 'variants.ci.lock'"]),
        ('[variants.ci]\nprefix = "/x"', ["unknown key 'variants.ci.prefix'"]),
        ("zzzzzz = 1", ["docs/settings.md"]),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(text: str, words: list[str]) -> None:
    assert all(word in refusal(text) for word in words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("base = 3", "base: expected text"),
        ('include = "src"', "include: expected a list of text"),
        ("include = [1]", "include: expected a list of text"),
        ("labels = { a = 1 }", "labels: expected a table of text"),
        ("lfs = 1", "lfs: expected a table"),
        ('[lfs]\ninclude = "x"', "lfs.include: expected a list of text"),
        ('submodules = "keep"', 'submodules: expected one of "refuse", "skip"'),
        ("[variants.ci]\nuser = 7", "variants.ci.user: expected text"),
        ("variants = 1", "variants: expected a table"),
        ("variants.ci = 1", "variants.ci: expected a table"),
        ('dependencies = "no"', "dependencies: expected"),
        ('lock = ["uv.lock"]', "lock: expected text"),
        ('extras = "gpu"', "extras: expected a list of text"),
        ("groups = [1]", "groups: expected a list of text"),
        ("variants.ci.groups = true", "variants.ci.groups: expected a list of text"),
    ],
)
def test_a_wrong_type_names_file_key_and_what_was_expected(text: str, words: str) -> None:
    assert f"treeship.toml at commit abc: {words}" in refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        'base = "oci:/var/lib/layout:x"',
        'base = "oci:~/layout"',
        'base = "oci:a/../../layout"',
        'base = "docker-archive:/root/secrets.tar"',
        'base = "docker-daemon:name:tag"',
        'base = "UPPER/case"',
        'prefix = "app"',
        'prefix = "/app/"',
        'prefix = "/a/../b"',
        'prefix = "/a//b"',
        'prefix = "/a/./b"',
        'prefix = ""',
        'workdir = "../x"',
        'pythonpath = ["/a/../b"]',
        'pythonpath = ["a:b"]',
        'path = [""]',
        'user = "a b"',
        'user = "root:"',
        'platforms = ["amd64"]',
        'platforms = ["linux/amd64", "linux/amd64/v1"]',
        'entrypoint = ["a\\u0000b"]',
        'labels = { "a=b" = "x" }',
        'environment = { "" = "x" }',
        'environment = { "A\\nB" = "x" }',
        'environment = { A = "x\\u0000" }',
        'source = "https://user:secret@git.example/x"',
        'source = "https://token@git.example/x"',
        'source = "git.example/x"',
        'version = "1\\n2"',
        'include = [""]',
        'exclude = ["# a comment"]',
        'exclude = ["a\\nb"]',
        'lock = "/etc/pylock.toml"',
        'lock = "../pylock.toml"',
        'lock = "env/../../pylock.toml"',
        'lock = "./uv.lock"',
        'lock = "env//uv.lock"',
        'lock = ""',
        'lock = "uv.lock\\n"',
        'extras = [""]',
        'extras = ["--all-extras"]',
        'extras = ["a b"]',
        'extras = ["gpu\\n"]',
        f'extras = ["{"a" * 200}"]',
        'groups = ["dev-"]',
        'groups = ["a/b"]',
        '[variants.ci]\ngroups = ["ä"]',
        '[variants."Upper"]\nuser = "x"',
        '[variants."a/b"]\nuser = "x"',
        '[variants.ci]\nbase = "oci:/abs"',
    ],
)
def test_hostile_and_senseless_values_are_refused(text: str) -> None:
    key = text.partition("]\n")[2] or text
    assert f"{key.partition(' ')[0]}" in refusal(text) or "variants." in refusal(text)


@pytest.mark.parametrize(
    "base", ["scratch", "oci:bases/python:3.12", "debian", "docker://a.example/b@sha256:" + "a" * 64]
)
def test_a_commit_may_name_registries_scratch_and_layouts_of_its_own(base: str) -> None:
    assert toml(f'base = "{base}"').base == base


def test_no_message_repeats_a_secret() -> None:
    assert "hunter2" not in refusal('source = "https://user:hunter2@git.example/x"')
    assert "hunter2" not in refusal('environment = { "" = "hunter2" }')


def test_settings_of_places_in_the_commit_are_ignored_but_not_silently() -> None:
    holds = toml(
        'to = ["evil.example/x"]\ninsecure = ["evil.example"]\n[lfs]\nurl = "https://evil.example"\n[reuse]\nfrom = 7'
    )
    assert [note.key for note in holds.ignored] == ["to", "insecure", "lfs.url", "reuse.from"]
    assert "protected branch" in str(holds.ignored[0])
    assert "protected branch" not in str(holds.ignored[3])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"base = [\n\n", "treeship.toml:3 at commit abc: not TOML"),
        (b'a = 1\nb = "x', "treeship.toml:2 at commit abc: not TOML"),
        (b"a = 1\na = 2\n", "not TOML"),
        (b"\n\nbase = '\xff'", "treeship.toml:3 at commit abc: not UTF-8"),
        (b"x = " + b"9" * 5000, "out of range"),
        (b"x = " + b"[" * 100_000, "nested too deep"),
        (b"x = " + b"{a=" * 50_000, "nested too deep"),
        (b"\n" + b"a." * 500_000 + b"b = 1", "treeship.toml:2 at commit abc: a key of more than 64 parts"),
        (b"[" + b"a . " * 200_000 + b"b]", "a key of more than 64 parts"),
        (b"#" * (1024 * 1024 + 1), "larger than 1048576 bytes"),
        (b"".join(b"k%d = 1\n" % i for i in range(90_000)), "unknown key 'k0'"),
        (
            b"[variants]\n" + b"".join(b"k%d.user='x'\n" % i for i in range(60_000)) + b"K.user='x'",
            "variants.K",
        ),
        (b"include = [" + b'"*a*a*a*a",' * 90_000 + b"]", "include: patterns of more than"),
        (b'base = "' + b"a" * 1_000_000 + b'"', "base: "),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_file_is_refused_quickly_with_its_line(content: bytes, words: str) -> None:
    began = time.process_time()
    message = refusal(content)
    assert words in message
    assert len(message) < 1000
    assert time.process_time() - began < 5
