"""Which addresses and branches an agent may be given."""

import pytest

from agents.errors import InvalidBranch, InvalidRepository
from agents.workspace.repositories import branch_of, check_branch, check_repository


@pytest.mark.parametrize(
    ("text", "url", "transport"),
    [
        ("https://github.com/team/work.git", "https://github.com/team/work.git", "https"),
        ("https://git.example.org:8443/a/b", "https://git.example.org:8443/a/b", "https"),
        ("ssh://git@github.com/team/work.git", "ssh://git@github.com/team/work.git", "ssh"),
        ("ssh://git.example.org:2222/~a/b", "ssh://git.example.org:2222/~a/b", "ssh"),
        ("git@github.com:team/work.git", "git@github.com:team/work.git", "ssh"),
        ("team/work", "https://github.com/team/work", "https"),
        ("https://8.8.8.8/a", "https://8.8.8.8/a", "https"),
        ("https://[2001:4860:4860::8888]/a", "https://[2001:4860:4860::8888]/a", "https"),
    ],
)
def test_https_and_ssh_are_taken(text, url, transport):
    repository = check_repository(text)
    assert (repository.url, repository.transport) == (url, transport)


@pytest.mark.parametrize(
    "text",
    [
        *("http://example.org/a", "git://example.org/a", "ftp://example.org/a", "file:///etc"),
        *("/srv/repo.git", "../repo", "./a/b", "ext::sh -c id", "ext::x", "fd::7/x", "a::b/c"),
        *("--upload-pack=touch x", "-x", "--exec=x/y", "-a@example.org:b", "a@-oProxyCommand=x:b"),
        *("ssh://-oProxyCommand=x/a", "ssh://-x/a", "ssh://git@-x/a"),
        *("https://user@example.org/a", "https://user:secret@example.org/a", "https://:x@a.org/b"),
        *("ssh://git:secret@example.org/a", "https://a.org@example.org/a", "ssh://-o@a.org/b"),
        *("https://a.org\\@example.org/a", "https://example.org/a?b", "https://example.org/a#b"),
        *("https://example.org/a b", "https://example.org/a\n", 'https://example.org/"', ""),
        *("https://example.org", "https://example.org/", "https:///a", "HTTPS://example.org/a"),
        *("https://exa%6dple.org/a", "https://example.org:x/a", "https://éxample.org/a"),
        *("https://example.org:80:80/a", "https://[::1/a", "a", "a/b/c", "a/.."),
    ],
)
def test_whatever_else_git_might_make_of_a_text_is_refused(text):
    with pytest.raises(InvalidRepository):
        check_repository(text)


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST", "localhost.", "a.localhost", "printer", "nas.local", "x.lan"),
        *("metadata.google.internal", "host.docker.internal", "router.home.arpa"),
        *("127.0.0.1", "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "0", "0.0.0.0"),
        *("10.1.2.3", "172.17.0.1", "192.168.0.1", "100.64.0.1", "169.254.169.254", "224.0.0.1"),
        *("255.255.255.255", "127.0.0.1.", "[::1]", "[::]", "[fe80::1]", "[fd00::1]"),
        *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[2002:7f00:1::]", "[ff02::1]"),
    ],
)
@pytest.mark.parametrize("form", ["https://{}/a", "https://{}:8443/a", "ssh://git@{}/a"])
def test_the_host_and_its_networks_are_refused(host, form):
    with pytest.raises(InvalidRepository, match="TRINITY_GIT_ALLOWED_HOSTS"):
        check_repository(form.format(host))


@pytest.mark.parametrize("host", ["git.local", "10.1.2.3"])
def test_unless_an_administrator_allows_one_by_name(settings, host):
    settings.TRINITY_GIT_ALLOWED_HOSTS = ["git.local", "10.1.2.3"]
    assert check_repository(f"https://{host}/a").host == host
    assert check_repository(f"git@{host}:a/b").host == host
    with pytest.raises(InvalidRepository):
        check_repository("https://10.1.2.4/a")


@pytest.mark.parametrize("text", ["https://user:s3cret@example.org/a", "ssh://a:s3cret@b.org/a"])
def test_credentials_are_refused_and_not_repeated(text):
    with pytest.raises(InvalidRepository, match="GIT_TOKEN") as refused:
        check_repository(text)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("name", ["main", "trinity/a-1", "feature/x.y", "v1.0", "é", "a" * 200])
def test_names_of_branches_are_taken(name):
    assert check_branch(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("", "-x", "--force", "a b", "a..b", ".a", "a/.b", "a.lock", "a.lock/b", "a/", "/a"),
        *("a//b", "a~1", "a^", "a:b", "a?", "a*", "[a", "a\\b", "a\nb", "a\x7f", "@", "a@{1}"),
        *("HEAD", "refs/heads/a", "a.", "a" * 201),
    ],
)
def test_what_git_takes_for_something_else_is_refused(name):
    with pytest.raises(InvalidBranch):
        check_branch(name)


@pytest.mark.parametrize("agent", ["scribe", "a.b", "a..b", "a.lock", "x_y-z", "a" * 63])
def test_every_agent_gets_a_branch_that_is_one(agent):
    assert check_branch(branch_of(agent, "0123456789ab")) == branch_of(agent, "0123456789ab")
