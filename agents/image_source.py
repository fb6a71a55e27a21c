"""What the image that Trinity makes itself is made of: it keeps its name after an upgrade."""

from functools import cache
from hashlib import sha256
from pathlib import Path

from django.conf import settings


def is_built_here(image: str) -> bool:
    """Tell whether Trinity makes the image itself when it is missing."""
    return image in settings.TRINITY_IMAGES[:1]


def version_of(image: str) -> str:
    """A hash of the sources of an image that is made here; empty for any other."""
    return source_hash(settings.TRINITY_IMAGE_CONTEXT) if is_built_here(image) else ""


@cache
def source_hash(context: Path) -> str:
    digest = sha256()
    for file in sorted(context.rglob("*")):
        if file.is_file() and file.suffix != ".pyc":
            digest.update(file.relative_to(context).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]
