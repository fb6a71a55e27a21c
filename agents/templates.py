"""Templates: folders with a ``template.yaml``, each a kind of agent that can be made.

``local:<folder>`` is found in TRINITY_TEMPLATES_DIR, then among those that come with Trinity.
A broken one is listed with its reason, so that its author sees what to mend.
"""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from agents.errors import BrokenTemplate, TemplateNotFound
from agents.template_file import Broken, Content, parse

DEFAULT = "local:default"
SOURCE = "local"
FILE = "template.yaml"
FILE_BYTES = 64 * 1024
BUILT_IN = Path(__file__).parent / "builtin_templates"

_FOLDER = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")


@dataclass(frozen=True, slots=True)
class Template:
    folder: str
    #: None where the file could not be read; then ``error`` says why.
    content: Content | None
    error: str = ""

    @property
    def id(self) -> str:
        return f"{SOURCE}:{self.folder}"

    @property
    def display_name(self) -> str:
        content = self.content
        return (content.display_name or content.name) if content else self.folder

    @property
    def usable(self) -> Content:
        """What it says; raises BrokenTemplate."""
        if self.content is None:
            raise BrokenTemplate(f"Template {self.id} is broken: {self.error}")
        return self.content


def all_templates() -> list[Template]:
    """All there are, broken ones too, by their names."""
    found: dict[str, Template] = {}
    for directory in _directories():
        for name in _folders(directory):
            # The operator's own come first, and stand in for a built-in one of that name.
            found.setdefault(name, _read(directory, name))
    return sorted(found.values(), key=lambda template: template.folder)


def find(template_id: str) -> Template:
    """Return the template, broken or not; raises TemplateNotFound."""
    found = (template for template in all_templates() if template.id == template_id)
    if template := next(found, None):
        return template
    raise TemplateNotFound(template_id)


def forget_all() -> None:
    """Read every file anew when it is next asked for."""
    _parsed.cache_clear()


def _directories() -> tuple[Path, Path]:
    return settings.TRINITY_TEMPLATES_DIR, BUILT_IN


def _folders(directory: Path) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            names = [entry.name for entry in entries if entry.is_dir()]
    except OSError:
        return []
    return [name for name in names if not name.startswith((".", "_"))]


def _read(directory: Path, name: str) -> Template:
    try:
        _check_name(name)
        with _opened(directory / name) as descriptor:
            return Template(name, _content(descriptor))
    except Broken as error:
        shown = name.encode(errors="replace").decode()
        return Template(shown, None, str(error))


def _check_name(folder: str) -> None:
    if not _FOLDER.fullmatch(folder):
        raise Broken(
            "The folder's name must be of small letters, digits, '.', '-' and '_', "
            "at most 63 of them"
        )


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    """Open the folder's file, which is one: no link is followed, no pipe waited for."""
    try:
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        told = "is a link or no folder: copy it here" if folder.is_symlink() else error.strerror
        raise Broken(f"The folder cannot be opened: it {told}") from None
    try:
        descriptor = os.open(FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=held)
    except FileNotFoundError:
        raise Broken(f"{FILE} is missing") from None
    except OSError as error:
        raise Broken(f"{FILE} cannot be opened, it may be a link: {error.strerror}") from None
    finally:
        os.close(held)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _content(descriptor: int) -> Content:
    state = os.fstat(descriptor)
    if not stat.S_ISREG(state.st_mode):
        raise Broken(f"{FILE} is no regular file")
    if state.st_size > FILE_BYTES:
        raise Broken(f"{FILE} is larger than {FILE_BYTES} bytes")
    raw = os.read(descriptor, FILE_BYTES + 1)
    if len(raw) > FILE_BYTES:
        raise Broken(f"{FILE} is larger than {FILE_BYTES} bytes")
    # What is allowed is part of the question: a list that was changed asks anew.
    content, reason = _parsed(raw, tuple(settings.TRINITY_IMAGES))
    if content is None:
        raise Broken(reason)
    return content


@lru_cache(maxsize=256)
def _parsed(raw: bytes, _images: tuple[str, ...]) -> tuple[Content | None, str]:
    """Parse a text once: a list of templates costs as much as reading their files."""
    try:
        return parse(raw), ""
    except Broken as error:
        return None, str(error)
