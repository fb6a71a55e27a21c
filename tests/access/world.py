"""One agent with all that can belong to it, and everybody who may come to it."""

from dataclasses import dataclass
from datetime import timedelta

from django.contrib.contenttypes.models import ContentType
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from agents import environment, lifecycle
from agents.environment import Variable
from agents.models import Agent, Found, Host, Log, RetainedWorkspace, Share
from agents.output import logs
from agents.runtime import get_runtime
from operations.models import Artifact
from tests.access.table import EMAIL, PERSONS, TOKENS, VARIABLE
from tests.factories import (
    PASSWORD,
    bearer_client,
    make_administrator,
    make_agent,
    make_grant,
    make_operation,
    make_token,
    make_user,
    share,
)
from tests.workspaces import workspace_of
from trinity import audit
from trinity.models import ApiToken, AuditEvent, User

ARTIFACT = "report.txt"
SECRET = "known-to-few"
BACKEND = "django.contrib.auth.backends.ModelBackend"


@dataclass(frozen=True)
class Role:
    """Somebody as he comes: a person signed in or with a token, and what he counts as."""

    name: str
    counts_as: str
    user: User | None = None
    #: The text of his token; None for a session.
    token: str | None = None
    session: dict | None = None

    def client(self, *, with_token):
        if with_token and self.token:
            return bearer_client(self.token)
        client = APIClient() if with_token else Client()
        if self.session:
            client.cookies["sessionid"] = self.session
        return client


class World:
    def __init__(self, *, runs=False, is_staff=False):
        self._fields = {"is_staff": is_staff}
        self.administrator, self.owner = make_administrator(), self._person()
        self.agent = make_agent(
            name=f"scribe-{User.objects.count()}",
            owner=self.owner,
            description=SECRET,
            prompt_command=["cat"],
        )
        self.other = make_agent(owner=self.administrator)
        logs.append(self.agent.log_id, [(False, SECRET)], {})
        environment.set_variables(self.agent, audit.SYSTEM, [Variable(VARIABLE, SECRET, False)])
        share(self.agent, User(email=EMAIL))
        self.requester = self._person()
        self.operation = make_operation(
            agent=self.agent, requester=self.requester, command=["echo", SECRET]
        )
        logs.append(self.operation.log_id, [(False, SECRET)], {})
        Artifact.objects.create(operation=self.operation, path=ARTIFACT, size=1, stored_as="none")
        if runs:
            lifecycle.start(self.agent, audit.SYSTEM)
        self.runs = runs
        self._subjects = {}

    def _person(self, **fields):
        return make_user(**self._fields, **fields)

    # Who comes

    def roles(self):
        yield from self._people()
        for name, limits in self._limits():
            yield self._by_token(name, name, self.administrator, **limits)

    def owners_tokens(self):
        """With the scope of the owner's token as what it counts as."""
        for name, limits in self._limits():
            yield self._by_token(f"the owner, {name}", name, self.owner, **limits)

    def _limits(self):
        for name in TOKENS[:4]:
            yield name, {"scopes": [name]}
        yield "this agent", {"agents": [self.agent]}
        yield "other agent", {"agents": [self.other]}

    def _people(self):
        for name in PERSONS[:2]:
            yield self._signed_in(name, name, getattr(self, name))
        for name in Share.Role.values:
            yield self._signed_in(name, name, self._shared_with(name))
        yield self._signed_in("viewer from before his account", "viewer", self._early())
        yield self._signed_in("expired share", "stranger", self._expired())
        unverified = self._shared_with("operator", email_verified_at=None)
        yield self._signed_in("unverified address", "stranger", unverified)
        yield self._signed_in("stranger", "stranger", self._person())
        yield self._signed_in("requester", "requester", self.requester)
        yield from self._disabled()
        yield Role("anonymous", "nobody")

    def _shared_with(self, role, **fields):
        user = self._person(**fields)
        share(self.agent, user, role)
        return user

    def _early(self):
        email = f"early{User.objects.count()}@example.org"
        early = share(self.agent, User(email=email))
        user = self._person(email=email)
        assert early.created_at < user.date_joined
        return user

    def _expired(self):
        user = self._person()
        past = timezone.now() - timedelta(seconds=1)
        share(self.agent, user, Share.Role.OPERATOR, expires_at=past)
        return user

    def _disabled(self):
        """An administrator until now, by a token and by a session from then."""
        user = make_administrator()
        roles = (
            self._by_token("disabled, token", "nobody", user),
            self._signed_in("disabled, session", "nobody", user, token=None),
        )
        user.is_active = False
        user.save()
        yield from roles

    def _by_token(self, name, counts_as, user, **limits):
        _, text = make_token(user, **limits)
        return Role(name, counts_as, user, text)

    def _signed_in(self, name, counts_as, user, **fields):
        client = Client()
        client.force_login(user, backend=BACKEND)
        fields.setdefault("token", make_token(user)[1])
        session = client.cookies["sessionid"].value
        return Role(name, counts_as, user, session=session, **fields)

    # What they come to

    def credentials(self):
        self.owner.set_password(PASSWORD)
        self.owner.save()
        return {"username": self.owner.username, "password": PASSWORD}

    @staticmethod
    def new_agent():
        return {"name": f"fresh-{Agent.objects.count()}"}

    def artifact(self):
        return {"operation_id": str(self.operation.pk), "artifact_path": ARTIFACT}

    def put_file(self):
        if self.runs:
            folder = workspace_of(get_runtime(), self.agent)
            (folder / "note").write_text(SECRET)

    def path(self, line, role):
        return line.path.format(**self._arguments(line.path, role))

    def _arguments(self, path, role):
        model = "/".join(path.split("/")[2:4])
        needs_row = "object_id" in path or "{id}" in path
        subject = self.subject(model).pk if needs_row and "/admin/r/" not in path else 1
        return {
            "name": self.agent.name,
            "email": EMAIL,
            "variable": VARIABLE,
            "operation_id": self.operation.pk,
            "path": ARTIFACT,
            "template_id": "local:default",
            "token_id": self._own_token(role),
            "object_id": subject,
            "id": subject,
            "app_label": "agents",
            "content_type_id": ContentType.objects.get_for_model(Agent).pk,
            "url": "no/such/page",
        }

    @staticmethod
    def _own_token(role):
        """Its own token, the one thing that every token may end."""
        if role and role.token:
            return ApiToken.objects.get(digest=ApiToken.hash(role.token)).pk
        return 1

    def subject(self, model):
        """The row that an admin page is about."""
        if model not in self._subjects:
            self._subjects[model] = self._make(model)
        return self._subjects[model]

    def _make(self, model):
        host, mark = Host.objects.local(), f"lost{self.agent.pk}"
        match model:
            case "agents/agent":
                made = self.agent
            case "operations/operation":
                made = self.operation
            case "agents/host":
                made = host
            case "trinity/user":
                made = make_user()
            case "trinity/apitoken":
                made = make_token(self.owner)[0]
            case "trinity/auditevent":
                audit.record(audit.SYSTEM, "start", "agent", self.agent.name)
                made = AuditEvent.objects.first()
            case "operations/grant":
                made = make_grant(agent=self.agent)
            case "agents/found":
                made = Found.objects.create(
                    host=host, kind="workspace", reference=mark, name="lost", uid=mark
                )
            case "agents/retainedworkspace":
                later = timezone.now() + timedelta(days=1)
                made = RetainedWorkspace.objects.create(
                    uid=mark,
                    name="gone",
                    host=host,
                    log=Log.objects.create(),
                    purge_at=later,
                    # Not one of those that are allowed, which is looked at first.
                    record={"image": "busybox"},
                )
            case _:
                raise KeyError(f"Say in tests/access/world.py how a row of {model} is made")
        return made
