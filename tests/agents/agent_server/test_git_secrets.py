"""Neither secrets nor what programs leave while they run are committed."""

import pytest

from tests.agents.agent_server.working_copy import BRANCH

SECRETS = [
    *(".env", ".env.local", "deep/.env", "id_rsa", "id_ed25519.pub", "server.pem", "tls.KEY"),
    *(".ssh/config", "home/.aws/credentials", ".netrc", ".git-credentials", ".npmrc", "a.p12"),
    *(".mcp.json", "config/credentials.json", ".gnupg/x", ".docker/config.json", ".Env"),
]
RUNTIME = ["node_modules/a.js", "__pycache__/a.pyc", ".trinity/state", ".cache/x", ".venv/bin/a"]


def fill(copy, names):
    for name in names:
        path = copy.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("something that is secret")


@pytest.mark.parametrize("negated", [False, True])
def test_secrets_are_not_committed_whatever_the_repositorys_rules_say(copy, shared, negated):
    copy.cloned()
    fill(copy, SECRETS)
    copy.write(work="1", **{".env.example": "NAME="})
    if negated:
        (copy.folder / ".gitignore").write_text("!*\n!.env\n!**/.env\n!.ssh/\n")
    expected = {"work", ".env.example"} | ({".gitignore"} if negated else set())
    assert set(copy.changes()) == expected
    copy.sync()
    assert set(shared.files(BRANCH)) == expected | {"README"}


def test_nor_when_a_program_has_staged_or_the_repository_tracks_them(copy, shared):
    shared.commit(**{".env": "OLD=1"})
    copy.cloned()
    copy.write(work="1", **{".env": "NEW=secret", "server.pem": "secret"})
    copy.git("add", "--force", ".env", "server.pem")
    assert copy.changes() == {"work": "??"}
    copy.sync()
    assert shared.files(BRANCH) == [".env", "README", "work"]
    assert shared.read(BRANCH, ".env") == "OLD=1"


def test_nor_when_they_are_asked_for_by_name(copy, shared):
    copy.cloned()
    copy.write(**{".env": "secret"})
    assert copy.sync(paths=[".env"])["files_changed"] == 0


def test_runtime_state_and_what_the_repository_ignores_stay_out(copy, shared):
    copy.cloned()
    fill(copy, [*RUNTIME, "build/out", "work"])
    (copy.folder / ".gitignore").write_text("build/\n")
    (copy.folder / ".git" / "info" / "exclude").write_text("private\n")
    copy.write(private="1")
    copy.sync()
    assert shared.files(BRANCH) == [".gitignore", "README", "work"]


def test_what_a_repository_has_on_purpose_is_kept_up_to_date(copy, shared):
    shared.commit(node_modules__a="1")
    copy.cloned()
    copy.write(node_modules__a="2", node_modules__b="2")
    copy.sync()
    assert shared.read(BRANCH, "node_modules/a") == "2"
    assert "node_modules/b" not in shared.files(BRANCH)
