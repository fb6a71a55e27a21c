"""Who gets what: a line for all that is served, and in it what each role is answered.

"yes" is the line's own status; a number is the status of a refusal; "sign in" and "start" are
redirects to the sign-in page and to the admin's first page; "nothing" is a list without it, an
action without effect, a socket that does not open. docs/access.md shows this table.
"""

from dataclasses import dataclass
from typing import Any

PERSONS = ("administrator", "owner", "operator", "viewer", "stranger", "nobody")
# By an administrator's token limited to a scope, to the agent in question, or to another one.
TOKENS = ("read", "operate", "manage", "metrics", "this agent", "other agent")

EMAIL = "guest@example.org"
VARIABLE = "NAME"


def right(persons, tokens=""):
    answers = dict(zip(PERSONS, persons.split(), strict=True))
    # Tokens open neither the pages nor the admin.
    return answers | dict(zip(TOKENS, (tokens or "login " * 6).split(), strict=True))


ANYONE = right("yes yes yes yes yes yes", "yes yes yes yes yes yes")
NO_ONE = right("403 403 403 403 403 403", "403 403 403 403 403 403")

# The API, streams and downloads
SIGNED_IN = right("yes yes yes yes yes 401", "yes yes yes yes yes yes")
READS = right("yes yes yes yes yes 401", "yes yes yes 403 yes yes")
MANAGES = right("yes yes yes yes yes 401", "403 403 yes 403 yes yes")
CREATES = right("yes yes yes yes yes 401", "403 403 yes 403 403 403")
SEES = right("yes yes yes yes 404 401", "yes yes yes 403 yes 404")
OPERATES = right("yes yes yes 403 404 401", "403 yes yes 403 yes 404")
OWNS = right("yes yes 403 403 404 401", "403 403 yes 403 yes 404")
OWNS_TO_READ = right("yes yes 403 403 404 401", "yes yes yes 403 yes 404")
ADMINISTERS = right("yes 403 403 403 403 401", "403 403 yes 403 403 403")
ADMINISTERS_TO_READ = right("yes 403 403 403 403 401", "yes yes yes 403 403 403")
MEASURES = right("yes 403 403 403 403 401", "403 403 403 yes 403 403")

# The live socket
TOPIC_OF_ALL = right("yes yes yes yes yes closed", "yes yes yes closed yes yes")
TOPIC = right("yes yes yes yes 404 closed", "yes yes yes closed yes 404")

# Pages
PERSONAL = right("yes yes yes yes yes login")
SEES_PAGE = right("yes yes yes yes 404 login")
OWNS_PAGE = right("yes yes 403 403 404 login")
ENTRANCE = right("yes yes yes yes yes yes", "yes yes yes yes yes yes")
ADMINS_ENTRANCE = right("start start start start start yes", "yes yes yes yes yes yes")
ADMINS_EXIT = right("yes yes yes yes yes start", "start start start start start start")

# The admin, for people marked staff: for any other it is what it is for nobody
OF_ADMINISTRATORS = right("yes 403 403 403 403 login")
OF_NO_ONE = right("403 403 403 403 403 login")
SEES_ROW = right("yes yes yes yes start login")
OWNS_ROW = right("yes yes 403 403 start login")

# Actions of the admin on an agent or an operation
DOES_IF_OPERATOR = right("yes yes yes no no login")
DOES_IF_OWNER = right("yes yes no no no login")
DOES_IF_ADMINISTRATOR = right("yes no no no no login")


@dataclass(frozen=True)
class Line:
    method: str
    path: str
    right: dict[str, str]
    ok: int = 200
    #: What is sent; of a world, where that is a function.
    body: Any = None
    query: str = ""
    #: Where it leads whom it is for, if that is where others are sent away to.
    leads_to: str = ""
    #: Its agent runs, with an agent server that answers.
    runs: bool = False
    #: What was permitted is not taken back: the engine would know of it still.
    stays: bool = False
    #: What the one who asked for the operation gets, whom the agent is not shared with any more.
    requester: str = ""
    #: The agent stands in it for those who see the agent.
    lists: bool = False
    #: A refusal is told to the audit trail.
    is_told: bool = True
    #: Answered by an application beside Django's handler.
    beside: bool = False

    def __str__(self):
        return f"{self.method} {self.path}"


AGENT = "/api/agents/{name}"
OPERATION = "/api/v1/operations/{operation_id}"

API = [
    Line("GET", "/health", ANYONE),
    Line("GET", "/metrics", MEASURES),
    Line("POST", "/token", ANYONE, body=lambda world: world.credentials()),
    Line("POST", "/api/token", ANYONE, body=lambda world: world.credentials()),
    Line("GET", "/api/auth/mode", ANYONE),
    Line("GET", "/api/auth/validate", SIGNED_IN),
    Line("GET", "/api/setup/status", ANYONE),
    # Nobody does it twice.
    Line(
        "POST",
        "/api/setup/admin-password",
        NO_ONE,
        body={"password": "long enough", "confirm_password": "long enough"},
        is_told=False,
    ),
    Line("GET", "/api/schema", SIGNED_IN),
    Line("GET", "/api/docs", SIGNED_IN),
    Line("GET", "/api/users/me", SIGNED_IN),
    Line("POST", "/api/tickets", READS, body={"for": "/ws"}),
    Line("GET", "/api/tokens", READS),
    Line("POST", "/api/tokens", MANAGES, 201, body={"name": "new"}),
    Line("DELETE", "/api/tokens/{token_id}", MANAGES, 204),
    Line("GET", "/api/audit", ADMINISTERS_TO_READ),
    Line("GET", "/api/activities/timeline", READS),
    Line("GET", "/api/templates", READS),
    Line("GET", "/api/templates/env-template", READS, query="?template_id=local:default"),
    Line("GET", "/api/templates/{template_id}", READS),
    Line("POST", "/api/templates/refresh", ADMINISTERS),
    Line("GET", "/api/agents", READS, lists=True),
    Line("POST", "/api/agents", CREATES, body=lambda world: world.new_agent(), stays=True),
    Line("GET", AGENT, SEES),
    Line("PATCH", AGENT, OWNS, body={"description": "changed"}),
    Line("DELETE", AGENT, OWNS),
    Line("POST", AGENT + "/start", OPERATES, runs=True),
    Line("POST", AGENT + "/stop", OPERATES, runs=True),
    Line("POST", AGENT + "/restart", OPERATES, runs=True, stays=True),
    Line("GET", AGENT + "/environment", SEES),
    Line("PUT", AGENT + "/environment", OWNS, body={"variables": [{"name": "A", "value": "b"}]}),
    Line("DELETE", AGENT + "/environment/{variable}", OWNS),
    Line("GET", AGENT + "/files", SEES, runs=True),
    Line("DELETE", AGENT + "/files", OPERATES, query="?path=note", runs=True),
    Line("GET", AGENT + "/git/config", SEES),
    Line("PUT", AGENT + "/git/config", OWNS, body={"github_repo": "team/work"}),
    Line("GET", AGENT + "/git/status", SEES),
    # No repository is configured, which is looked at last.
    Line("GET", AGENT + "/git/log", SEES, 400),
    Line("POST", AGENT + "/git/sync", OWNS, 400),
    Line("POST", AGENT + "/git/pull", OWNS, 400),
    Line("GET", AGENT + "/logs", SEES),
    Line("GET", AGENT + "/stats", SEES, runs=True),
    Line("GET", AGENT + "/stats/history", SEES),
    Line("GET", AGENT + "/resources", SEES),
    Line("PUT", AGENT + "/resources", OWNS, body={"memory": "2g"}),
    Line("POST", AGENT + "/share", OWNS, body={"email": "new@example.org"}),
    Line("GET", AGENT + "/shares", OWNS_TO_READ),
    Line("DELETE", AGENT + "/share/{email}", OWNS),
    Line("GET", AGENT + "/audit", OWNS_TO_READ),
    Line("GET", AGENT + "/activity", SEES),
    Line("GET", AGENT + "/activities", SEES),
    Line("GET", AGENT + "/autonomy", SEES),
    Line("PUT", AGENT + "/autonomy", OWNS, body={"enabled": True}),
    Line("GET", AGENT + "/info", SEES),
    Line("GET", AGENT + "/metrics", SEES),
    Line("POST", AGENT + "/chat", OPERATES, 202, body={"message": "hello"}, runs=True),
    Line("GET", "/api/v1/operations", READS, lists=True, requester="yes"),
    Line(
        "POST",
        "/api/v1/operations",
        OPERATES,
        202,
        body=lambda world: {"agent": world.agent.name, "command": ["true"]},
        runs=True,
    ),
    Line("GET", OPERATION, SEES, requester="yes"),
    Line("POST", OPERATION + "/cancel", OPERATES, 204, requester="yes"),
    # Who only asked for it sees what it did, and may do it no more.
    Line("POST", OPERATION + "/run-again", OPERATES, 202, runs=True),
    Line("GET", OPERATION + "/logs", SEES, requester="yes"),
    Line("GET", OPERATION + "/artifacts", SEES, requester="yes"),
    # The bytes of this one are nowhere, which is looked at last.
    Line("GET", OPERATION + "/artifacts/{path}", SEES, 503, requester="yes"),
    Line("POST", "/api/v1/artifacts/{operation_id}/list", SEES, requester="yes"),
    Line(
        "POST",
        "/api/v1/artifacts/download",
        SEES,
        503,
        body=lambda world: world.artifact(),
        requester="yes",
    ),
]

STREAMS = [
    Line("GET", "/api/audit.csv", ADMINISTERS_TO_READ, beside=True),
    Line("GET", AGENT + "/audit.csv", OWNS_TO_READ, beside=True),
    Line("GET", AGENT + "/files/download", SEES, query="path=note", runs=True, beside=True),
    Line("PUT", AGENT + "/files", OPERATES, query="path=new", runs=True, beside=True),
    Line("GET", AGENT + "/logs/stream", SEES, beside=True),
    Line("GET", AGENT + "/logs/download", SEES, beside=True),
    Line("POST", AGENT + "/chat", OPERATES, 202, body={"message": "hello"}, runs=True, beside=True),
    Line("GET", OPERATION + "/stream", SEES, requester="yes", beside=True),
    Line("GET", OPERATION + "/logs/download", SEES, requester="yes", beside=True),
]

TOPICS = [
    Line("SUBSCRIBE", "agents", TOPIC_OF_ALL, lists=True),
    Line("SUBSCRIBE", "agent:{name}", TOPIC),
    Line("SUBSCRIBE", "agent:{name}:stats", TOPIC),
    Line("SUBSCRIBE", "agent:{name}:logs", TOPIC),
    Line("SUBSCRIBE", "operation:{operation_id}", TOPIC, requester="yes"),
    Line("SUBSCRIBE", "operation:{operation_id}:logs", TOPIC, requester="yes"),
]

PAGES = [
    Line("GET", "/", ENTRANCE, 302),
    # Who is signed in is sent on.
    Line("GET", "/sign-in", ENTRANCE),
    Line("POST", "/sign-in", ENTRANCE),
    Line("POST", "/sign-out", ENTRANCE, 302),
    Line("GET", "/agents", PERSONAL, lists=True),
    Line("GET", "/agents/{name}", SEES_PAGE),
    Line("GET", "/agents/{name}/operations", SEES_PAGE),
    Line("GET", "/operations/{operation_id}", SEES_PAGE, requester="yes"),
    Line("GET", "/agents/{name}/files", SEES_PAGE),
    Line("GET", "/agents/{name}/git", SEES_PAGE),
    Line("GET", "/agents/{name}/history", SEES_PAGE),
    Line("GET", "/agents/{name}/settings", OWNS_PAGE),
]


def _rows(model, right, **of_pages):
    """The admin's pages of a model; where nothing else is said, only to be looked at."""
    listed = of_pages.get("listed", right)
    page = f"/admin/{model}/{{object_id}}/"
    requester = of_pages.get("requester", "")
    forms = [
        ("add/", f"/admin/{model}/add/", of_pages.get("add", OF_NO_ONE), 200, None),
        ("change/", page + "change/", of_pages.get("change", OF_NO_ONE), 200, None),
        ("delete/", page + "delete/", of_pages.get("delete", OF_NO_ONE), 302, {"post": "yes"}),
    ]
    lists = model in {"agents/agent", "operations/operation"}
    yield Line("GET", f"/admin/{model}/", listed, lists=lists, requester=requester)
    yield Line("GET", page, PERSONAL, 302)
    yield Line("GET", page + "history/", right, requester=requester)
    for name, path, may, ok, body in forms:
        if name == "change/":
            yield Line("GET", path, right, requester=requester)
        else:
            yield Line("GET", path, may)
        leads_to = of_pages.get("leads_to", "")
        yield Line("POST", path, may, ok, body=body, leads_to=leads_to)


ADMIN = [
    Line("GET", "/admin/", PERSONAL),
    Line("GET", "/admin/{app_label}/", PERSONAL),
    Line("GET", "/admin/search/", PERSONAL, query="?s=scribe"),
    Line("GET", "/admin/login/", ADMINS_ENTRANCE),
    Line("POST", "/admin/logout/", ADMINS_EXIT),
    Line("GET", "/admin/password_change/", PERSONAL),
    Line("GET", "/admin/password_change/done/", PERSONAL),
    Line("GET", "/admin/jsi18n/", PERSONAL),
    Line(
        "GET",
        "/admin/autocomplete/",
        OF_ADMINISTRATORS,
        query="?app_label=agents&model_name=agent&field_name=owner",
    ),
    # No row of ours has an address outside the admin.
    Line("GET", "/admin/r/{content_type_id}/{object_id}/", PERSONAL, 404, is_told=False),
    Line("GET", "/admin/{url}", PERSONAL, 404, is_told=False),
    *_rows(
        "trinity/user",
        OF_ADMINISTRATORS,
        add=OF_ADMINISTRATORS,
        change=OF_ADMINISTRATORS,
        delete=OF_ADMINISTRATORS,
    ),
    Line("GET", "/admin/trinity/user/{id}/password/", OF_ADMINISTRATORS),
    Line("POST", "/admin/trinity/user/{id}/password/", OF_ADMINISTRATORS),
    *_rows("trinity/apitoken", OF_ADMINISTRATORS, delete=OF_ADMINISTRATORS, leads_to="/admin/"),
    *_rows("trinity/auditevent", OF_ADMINISTRATORS),
    *_rows("agents/host", OF_ADMINISTRATORS),
    *_rows("agents/found", OF_ADMINISTRATORS),
    *_rows("agents/retainedworkspace", OF_ADMINISTRATORS),
    *_rows(
        "agents/agent",
        SEES_ROW,
        listed=PERSONAL,
        add=PERSONAL,
        change=OWNS_ROW,
        delete=OWNS_ROW,
    ),
    *_rows("operations/operation", SEES_ROW, listed=PERSONAL, requester="yes"),
    *_rows(
        "operations/grant",
        OF_ADMINISTRATORS,
        add=OF_ADMINISTRATORS,
        change=OF_ADMINISTRATORS,
        delete=OF_ADMINISTRATORS,
    ),
]

ACTIONS = [
    Line("DO", "agents/agent start", DOES_IF_OPERATOR),
    Line("DO", "agents/agent stop", DOES_IF_OPERATOR),
    Line("DO", "agents/agent restart", DOES_IF_OPERATOR),
    Line("DO", "agents/agent delete_agents", DOES_IF_OWNER),
    Line("DO", "agents/agent transfer_agents", DOES_IF_ADMINISTRATOR),
    Line("DO", "operations/operation cancel", DOES_IF_OPERATOR, requester="yes"),
    Line("DO", "operations/operation run_again", DOES_IF_OPERATOR),
    Line("DO", "trinity/user delete_selected", OF_ADMINISTRATORS),
    Line("DO", "operations/grant delete_selected", OF_ADMINISTRATORS),
    Line("DO", "trinity/apitoken delete_selected", OF_ADMINISTRATORS),
    Line("DO", "agents/host accept_unguarded_networks", OF_ADMINISTRATORS),
    Line("DO", "agents/host refuse_unguarded_networks", OF_ADMINISTRATORS),
    Line("DO", "agents/host take_control", OF_ADMINISTRATORS),
    Line("DO", "agents/found adopt", OF_ADMINISTRATORS),
    Line("DO", "agents/found remove", OF_ADMINISTRATORS),
    Line("DO", "agents/retainedworkspace restore", OF_ADMINISTRATORS),
    Line("DO", "agents/retainedworkspace purge", OF_ADMINISTRATORS),
]
