"""Makes the agent image from what the machine has: no registry is needed.

The base system comes from a registry where one answers, else from the machine's own Debian
mirror. It is made once and kept under ``BASE``; the agent server on top takes seconds.
"""

import subprocess
import tempfile
import time
from collections.abc import Callable
from os import geteuid
from pathlib import Path
from shutil import which
from typing import Any

from django.conf import settings
from docker.errors import APIError, ImageNotFound

from agents.errors import ImageMissing
from agents.image_source import version_of

BASE = "trinity-agent-root:latest"
REGISTRY_BASE = "debian"
SUITE = "bookworm"
BUILD_SECONDS = 900
REPORT_SECONDS = 5
SOURCE_LABEL = "trinity.source"
Report = Callable[[str], None]


def build(api: Any, image: str, report: Report) -> None:
    """Make sure that the image is there and made from the present sources."""
    source = version_of(image)
    if _label(api, image) == source:
        return
    if _label(api, BASE) is None:
        _make_base(api, report)
    report(f"building {image}")
    lines = api.build(
        path=str(settings.TRINITY_IMAGE_CONTEXT),
        tag=image,
        buildargs={"BASE": BASE},
        labels={SOURCE_LABEL: source},
        rm=True,
        # The steps are our own; and an engine without a bridge has no other network.
        network_mode="host",
        decode=True,
    )
    for line in lines:
        if "error" in line:
            raise ImageMissing(f"Building {image} failed: {line['error'].strip()}")


def _label(api: Any, image: str) -> str | None:
    """The hash of the sources of an image: empty for one without it, None for no image."""
    try:
        labels = api.inspect_image(image)["Config"]["Labels"] or {}
    except ImageNotFound:
        return None
    return str(labels.get(SOURCE_LABEL, ""))


def _make_base(api: Any, report: Report) -> None:
    report("looking for a base image in a registry")
    if not _pull(api):
        _bootstrap(api, report)


def _pull(api: Any) -> bool:
    tag = f"{SUITE}-slim"
    try:
        api.pull(REGISTRY_BASE, tag=tag)
        api.tag(f"{REGISTRY_BASE}:{tag}", *BASE.split(":"))
    except APIError:
        return False
    return True


def _bootstrap(api: Any, report: Report) -> None:
    report("no registry answers: making a base system from Debian's packages")
    _install_mmdebstrap()
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "base.tar"
        _run(_mmdebstrap(archive), report)
        report("loading the base system into the engine")
        repository, tag = BASE.split(":")
        api.import_image_from_file(str(archive), repository=repository, tag=tag)


def _install_mmdebstrap() -> None:
    if which("mmdebstrap"):
        return
    if geteuid() != 0 or not which("apt-get"):
        raise ImageMissing("The agent image cannot be made: install mmdebstrap, then try again")
    install = ["apt-get", "install", "-y", "--no-install-recommends", "mmdebstrap"]
    _run(install, lambda _text: None)


def _mmdebstrap(archive: Path) -> list[str]:
    return [
        "mmdebstrap",
        "--variant=minbase",
        "--include=python3,git,ca-certificates",
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("doc", "man", "locale")),
        '--aptopt=Acquire::Languages "none"',
        SUITE,
        str(archive),
    ]


def _run(command: list[str], report: Report) -> None:
    """Run to the end, with a sign of life; raise ImageMissing with its last words."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)  # noqa: S603
        while (code := _wait(process)) is None:
            report(f"  {command[0]} … {time.monotonic() - started:.0f} s")
        if code:
            output.seek(0)
            last_words = output.read().decode(errors="replace").strip()[-500:]
            raise ImageMissing(f"{command[0]} failed: {last_words}")


def _wait(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(REPORT_SECONDS)
    except subprocess.TimeoutExpired:
        return None
