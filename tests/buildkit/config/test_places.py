"""Where images go and what is trusted: whoever may say it, the strongest says it, and the commit never does."""

from __future__ import annotations

import pytest

from buildkit.config.places import left_to_protected, resolve_places
from buildkit.config.user import UserFile
from buildkit.config.values import Places, Resolved, SettingsFiles
from buildkit.errors import InvalidInput

HOME = {"HOME": "/home/me"}


def user(text: str) -> UserFile:
    """The user's file."""
    return UserFile("/home/me/treeship.toml", text.encode())


def main(text: str) -> SettingsFiles:
    """The protected branch's file."""
    return SettingsFiles("origin/main", {"treeship.toml": text.encode()})


def test_defaults() -> None:
    resolved = resolve_places({}, HOME)
    assert resolved.places.to == ()
    assert resolved.places.cache == "/home/me/.cache/treeship"
    assert 2 <= resolved.places.jobs <= 8
    assert (resolved.places.commit_tag, resolved.places.retag, resolved.places.reuse_enabled) == (
        True,
        False,
        True,
    )
    assert resolved.origins == {}


def test_without_a_home_there_is_no_cache() -> None:
    assert resolve_places({}, {}).places.cache == ""
    assert resolve_places({}, {"XDG_CACHE_HOME": "relative"}).places.cache == ""
    assert resolve_places({}, {**HOME, "XDG_CACHE_HOME": "/fast"}).places.cache == "/fast/treeship"


def test_the_strongest_source_wins_and_is_named() -> None:
    flags = {"to": ["flag.example/x"], "jobs": None, "cache": None}
    environ = {
        **HOME,
        "TREESHIP_TO": "env.example/x",
        "TREESHIP_LFS_URL": "https://env.example",
        "TREESHIP_JOBS": "3",
    }
    own = user('to = ["user.example/x"]\ncache = "~/c"\njobs = 2\n[lfs]\nurl = "https://user.example"')
    resolved = resolve_places(
        flags, environ, own, main('to = ["main.example/x"]\n[lfs]\nurl = "https://main.example"')
    )
    assert resolved.places.to == ("flag.example/x",)
    assert resolved.places.lfs_url == "https://env.example"
    assert resolved.places.jobs == 3
    assert resolved.places.cache == "/home/me/c"
    assert resolved.origins == {
        "to": "flag --to",
        "lfs.url": "TREESHIP_LFS_URL",
        "jobs": "TREESHIP_JOBS",
        "cache": "/home/me/treeship.toml",
    }


def test_each_source_alone() -> None:
    assert resolve_places({}, HOME, user('to = ["a.example/b"]')).places.to == ("a.example/b",)
    resolved = resolve_places({}, HOME, None, main('to = ["a.example/b"]\nbase = 3\n[variants.x]\nuser = 7'))
    assert resolved.places.to == ("a.example/b",), "what an image holds is not looked at there"
    assert resolved.origins == {"to": "treeship.toml at origin/main"}


def test_what_the_protected_branch_may_not_say_is_ignored_and_noted() -> None:
    text = (
        'insecure = ["x"]\nca_file = "/x"\ncommit_tag = false\nretag = true\n[reuse]\nfrom = ["x.example/y"]'
    )
    resolved = resolve_places({}, HOME, None, main(text))
    defaults = resolve_places({}, HOME)
    assert resolved.places == defaults.places
    assert {note.key for note in resolved.ignored} == {
        "insecure",
        "ca_file",
        "commit_tag",
        "retag",
        "reuse.from",
    }


def test_reuse_sources_come_from_the_user() -> None:
    resolved = resolve_places({}, HOME, user('[reuse]\nfrom = ["x.example/y"]\nenabled = true'))
    assert resolved.places.reuse_from == ("x.example/y",)


def test_the_users_file_cannot_say_what_an_image_holds() -> None:
    with pytest.raises(InvalidInput, match="base: this says what an image holds"):
        resolve_places({}, HOME, user('base = "scratch"'))
    with pytest.raises(InvalidInput, match="variants"):
        resolve_places({}, HOME, user('[variants.ci]\nuser = "x"'))


def test_only_what_is_left_to_it_makes_the_protected_branch_worth_asking() -> None:
    wheels = {"wheels.index", "wheels.hosts"}
    assert left_to_protected({}, {}) == {"to", "lfs.url", *wheels}
    assert left_to_protected({"to": ["a.example/b"]}, {}) == {"lfs.url", *wheels}
    own = user('[lfs]\nurl = "https://x"\n[wheels]\nhosts = ["x"]\nindex = "https://x/simple"')
    assert left_to_protected({}, {"TREESHIP_TO": "a.example/b"}, own) == frozenset()


def test_wheelhouses_are_of_this_machine_and_hosts_of_the_team() -> None:
    said = '[wheels]\nwheelhouse = ["~/wheels", "/srv/wheels"]\nhosts = ["files.example:8443"]'
    assert resolve_places({}, HOME, user(said)).places.wheels_wheelhouse == ("/home/me/wheels", "/srv/wheels")
    shared = resolve_places({}, HOME, None, main(said))
    assert shared.places.wheels_hosts == ("files.example:8443",)
    assert shared.places.wheels_wheelhouse == ()
    assert [ignored.key for ignored in shared.ignored] == ["wheels.wheelhouse"]


@pytest.mark.parametrize(
    "text",
    ["files.example", "ftp://files.example/simple", "https://me:hidden@files.example/simple?a", "https:///simple",
     "https://me:hidden@/simple", "https://files.example/\x07"],
)  # fmt: skip
def test_what_is_no_index_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(InvalidInput, match="TREESHIP_WHEELS_INDEX") as caught:
        resolve_places({}, {"TREESHIP_WHEELS_INDEX": text})
    assert "hidden" not in str(caught.value)


def test_an_index_may_have_credentials_where_it_is_trusted() -> None:
    resolved = resolve_places({}, {"TREESHIP_WHEELS_INDEX": "https://me:hidden@files.example/simple"})
    assert resolved.places.wheels_index == "https://me:hidden@files.example/simple"


@pytest.mark.parametrize(
    ("text", "value"), [("1", True), ("yes", True), ("On", True), ("0", False), ("false", False)]
)
def test_switches_in_variables(text: str, value: bool) -> None:
    assert resolve_places({}, {"TREESHIP_COMMIT_TAG": text}).places.commit_tag is value


def test_lists_in_variables_are_separated_by_white_space() -> None:
    resolved = resolve_places({}, {"TREESHIP_TO": " a.example/b  oci:out:tag\n"})
    assert resolved.places.to == ("a.example/b", "oci:out:tag")


def test_an_empty_variable_says_nothing() -> None:
    assert resolve_places({}, {"TREESHIP_TO": "", "TREESHIP_JOBS": ""}).origins == {}


def test_an_unknown_variable_is_noted_with_the_nearest_one_and_without_its_value() -> None:
    resolved = resolve_places({}, {"TREESHIP_RETAGG": "hunter2", "TREESHIP_CONFIG": "/x"})
    (note,) = resolved.ignored
    assert "TREESHIP_RETAG'" in str(note)
    assert "hunter2" not in str(note)


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"TREESHIP_JOBS": "many"}, "TREESHIP_JOBS: expected a whole number"),
        ({"TREESHIP_JOBS": "0"}, "TREESHIP_JOBS: expected a whole number"),
        ({"TREESHIP_TIMEOUTS_READ": "nan"}, "TREESHIP_TIMEOUTS_READ: expected a number of seconds"),
        ({"TREESHIP_TIMEOUTS_READ": "-1"}, "TREESHIP_TIMEOUTS_READ: expected a number of seconds"),
        ({"TREESHIP_RETAG": "maybe"}, "TREESHIP_RETAG: expected true or false"),
        ({"TREESHIP_TO": "scratch"}, "TREESHIP_TO: an image cannot go to scratch"),
        ({"TREESHIP_INSECURE": "http://host"}, "TREESHIP_INSECURE: expected hosts"),
        ({"TREESHIP_LFS_URL": "ssh://host"}, "TREESHIP_LFS_URL: expected an https://"),
    ],
)
def test_bad_variables_are_named(environ: dict[str, str], words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        resolve_places({}, environ)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("jobs = 'x'", "/home/me/treeship.toml: jobs: expected a whole number"),
        ("jobs = 0", "/home/me/treeship.toml: jobs: expected a whole number"),
        ("jobs = true", "/home/me/treeship.toml: jobs: expected a whole number"),
        ("commit_tag = 1", "/home/me/treeship.toml: commit_tag: expected true or false"),
        ("[timeouts]\nread = 0", "timeouts.read: expected a number of seconds"),
        ("to = 'x'", "to: expected a list of text"),
        ("job = 1", "unknown key 'job'\nhint: did you mean 'jobs'?"),
        ("to = [", "/home/me/treeship.toml:1: not TOML"),
    ],
)
def test_bad_files_are_named_with_the_key(text: str, words: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        resolve_places({}, HOME, user(text))
    assert words in str(caught.value)


def test_a_flag_is_named_as_it_was_given() -> None:
    with pytest.raises(InvalidInput, match="flag --to: not an image reference"):
        resolve_places({"to": ["NO"]}, HOME)


def test_numbers_may_be_given_as_text_by_the_command_line() -> None:
    resolved = resolve_places({"jobs": "5", "timeouts.connect": "0.5"}, HOME)
    assert isinstance(resolved, Resolved)
    assert isinstance(resolved.places, Places)
    assert (resolved.places.jobs, resolved.places.timeouts_connect) == (5, 0.5)
