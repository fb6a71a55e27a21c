"""What lies in a repository runs nothing: no hook, no filter, no setting of its configuration."""

import os

import pytest

from tests.agents.agent_server.working_copy import BRANCH, WorkingCopy
from tests.repositories import git

HOOKS = [
    *("applypatch-msg", "commit-msg", "fsmonitor-watchman", "post-checkout", "post-commit"),
    *("post-index-change", "post-merge", "post-rewrite", "pre-commit", "pre-merge-commit"),
    *("pre-push", "prepare-commit-msg", "push-to-checkout", "reference-transaction"),
]
# Each names a program; in the form of the repository's own configuration.
SETTINGS = """
[core]
    fsmonitor = {run} fsmonitor
    sshCommand = {run} ssh
    gitProxy = {run} proxy
    askPass = {program}
    editor = {run} editor
    pager = {run} pager
    hooksPath = {folder}/hooks
    attributesFile = {folder}/attributes
    alternateRefsCommand = {run} alternates
[filter "evil"]
    clean = {run} clean
    smudge = {run} smudge
    process = {run} process
    required = true
[diff]
    external = {run} diff
[diff "evil"]
    command = {run} diff-driver
    textconv = {run} textconv
[merge "evil"]
    driver = {run} merge-driver
[commit]
    gpgSign = true
[gpg]
    program = {program}
[gpg "ssh"]
    program = {program}
[log]
    showSignature = true
[credential]
    helper = !{run} credential
[alias]
    status = !{run} alias
    log = !{run} alias
    fetch = !{run} alias
[protocol]
    allow = always
[protocol "ext"]
    allow = always
[url "ext::{program} "]
    insteadOf = file://
    pushInsteadOf = file://
[remote "origin"]
    url = ext::{program}
    pushurl = ext::{program}
    uploadpack = {program}
    receivepack = {program}
    vcs = ext
    proxy = http://127.0.0.1:1
[remote]
    pushDefault = ext::{program}
[submodule]
    recurse = true
[submodule "nested"]
    url = ext::{program}
    update = !{run} submodule
    active = true
[fetch]
    recurseSubmodules = true
[maintenance]
    auto = true
[gc]
    auto = 1
[trailer "evil"]
    command = {run} trailer
[include]
    path = {folder}/more
"""
MORE = "[core]\n\tfsmonitor = {run} included\n"


class Trap:
    """A program that writes down that it was run."""

    def __init__(self, folder):
        folder.mkdir()
        self.folder, self.sprung = folder, folder / "sprung"
        program = folder / "program"
        program.write_text(f'#!/bin/sh\necho "$0 $@" >>{self.sprung}\nexit 1\n')
        program.chmod(0o755)
        self.names = {"folder": folder, "program": program, "run": program}
        (folder / "more").write_text(MORE.format(**self.names))
        (folder / "attributes").write_text("* filter=evil diff=evil merge=evil\n")
        self.set_hooks(folder / "hooks")

    def set_hooks(self, hooks):
        hooks.mkdir(exist_ok=True)
        for name in HOOKS:
            (hooks / name).unlink(missing_ok=True)
            (hooks / name).symlink_to(self.folder / "program")

    def set_in(self, tree):
        """Put it into every place of a repository that can name a program."""
        self.set_hooks(tree / ".git" / "hooks")
        with (tree / ".git" / "config").open("a") as config:
            config.write(SETTINGS.format(**self.names))
        (tree / ".git" / "info").mkdir(exist_ok=True)
        (tree / ".git" / "info" / "attributes").write_text("* filter=evil diff=evil merge=evil\n")
        (tree / ".gitattributes").write_text("* filter=evil diff=evil merge=evil\n")


@pytest.fixture
def trap(tmp_path):
    return Trap(tmp_path / "trap")


def exercise(copy, shared):
    """Everything there is to do with a repository, with something to do for each of it."""
    copy.write(README="Changed again\n", new="1")
    os.utime(copy.folder / "README", (1, 1))
    assert copy.status()["problem"] == ""
    assert copy.ask("log", limit=5)["ok"]
    assert copy.sync()["message"].endswith("pushed")
    shared.commit(BRANCH, README="And again\n", theirs="1")
    assert copy.status()["behind"] == 1
    assert copy.ask("pull")["message"] == "Pulled 1 commit"
    assert (copy.folder / "README").read_text() == "And again\n"
    copy.write(more="1")
    assert copy.sync()["message"].endswith("pushed")


def test_nothing_of_its_configuration_is_run(copy, shared, trap):
    copy.cloned()
    trap.set_in(copy.folder)
    exercise(copy, shared)
    assert not trap.sprung.exists()


def test_the_trap_is_one(copy, trap):
    """What the test above relies on: git itself does run what lies there."""
    copy.cloned()
    trap.set_in(copy.folder)
    with pytest.raises(AssertionError):
        copy.git("commit", "--all", "-m", "x")
    assert trap.sprung.exists()


def test_nothing_of_a_repository_inside_of_it_is_run_or_committed(copy, shared, trap):
    copy.cloned()
    nested = copy.folder / "nested"
    git(copy.folder, "init", "nested")
    git(nested, "commit", "--allow-empty", "-m", "nested")
    copy.write(README="Changed\n")
    copy.git("add", "nested")
    copy.git("commit", "-m", "with a submodule")
    (copy.folder / ".gitmodules").write_text(
        '[submodule "nested"]\n\tpath = nested\n\turl = ./x\n\tignore = none\n\tupdate = !touch y\n'
    )
    git(copy.folder, "init", "untracked")
    git(copy.folder / "untracked", "commit", "--allow-empty", "-m", "more")
    for tree in (nested, copy.folder / "untracked", copy.folder):
        trap.set_in(tree)
    exercise(copy, shared)
    assert not trap.sprung.exists()
    assert not [name for name in shared.files(BRANCH) if name.startswith("untracked")]


def test_what_a_repository_brings_along_runs_nothing_when_it_is_cloned(copy, shared, trap):
    shared.commit(
        **{".gitattributes": "* filter=evil\n", ".gitmodules": '[submodule "a"]\n\turl=ext::x\n'}
    )
    copy.cloned()
    assert (copy.folder / "README").read_text() == "Hello\n"


def test_settings_of_the_machine_and_the_user_are_not_read(stopped_server, shared, trap, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / ".gitconfig").write_text(SETTINGS.format(**trap.names))
    environment = {
        "HOME": str(tmp_path / "home"),
        "GIT_CONFIG_SYSTEM": str(tmp_path / "home" / ".gitconfig"),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.fsmonitor",
        "GIT_CONFIG_VALUE_0": str(trap.names["program"]),
        "GIT_SSH_COMMAND": str(trap.names["program"]),
        "GIT_EXTERNAL_DIFF": str(trap.names["program"]),
        "GIT_ASKPASS": str(trap.names["program"]),
        "GIT_TEMPLATE_DIR": str(trap.folder),
        "GIT_EXEC_PATH": str(trap.folder),
    }
    copy = WorkingCopy(stopped_server.start(**environment), shared.url).cloned()
    exercise(copy, shared)
    assert not trap.sprung.exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("url", "ext::sh -c touch% x"),
        ("url", "ext::x"),
        ("url", "--upload-pack=touch x"),
        ("url", "-x"),
        ("url", "git://example.org/a"),
        ("url", "ftp://example.org/a"),
        ("url", 'file:///a"\n[core]\n\tfsmonitor = x'),
        ("url", "file:///a b"),
        ("url", "ssh://-oProxyCommand=x/a"),
        ("url", 5),
        ("url", ""),
        ("branch", "--force"),
        ("branch", "a:main"),
        ("branch", "a b"),
        ("branch", "../x"),
        ("branch", ""),
        ("branch", None),
        ("transports", ["ext"]),
        ("transports", "file"),
        ("transports", []),
    ],
)
def test_what_is_no_plain_address_or_branch_is_refused(copy, field, value):
    copy.remote[field] = value
    for verb in ("status", "sync", "pull", "log"):
        assert copy.ask(verb, message="x", limit=1)["code"] == "bad_request"
    assert not copy.folder.exists()
