"""Volumes as archives, through a container that holds the volume and is never started."""

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

from docker.errors import NotFound
from docker.types import Mount

PLACE = "/volume"
CHUNK_BYTES = 1024**2
# Two blocks of zeros: what a whole archive ends with.
END = bytes(1024)


def names(api: Any, prefix: str) -> list[str]:
    # The engine's filter also finds the text in the middle of a name.
    found = api.volumes(filters={"name": prefix})["Volumes"] or []
    return sorted(each["Name"] for each in found if each["Name"].startswith(prefix))


def export(api: Any, image: str, name: str, into: BinaryIO) -> bool:
    """Write the volume as a tar archive; return whether all of it came."""
    api.inspect_volume(name)
    end = b""
    with _holding(api, image, name) as container:
        chunks, _ = api.get_archive(container, f"{PLACE}/.", chunk_size=CHUNK_BYTES)
        for chunk in chunks:
            into.write(chunk)
            end = (end + chunk)[-len(END) :]
    return end == END


def fill(api: Any, image: str, name: str, archive: BinaryIO) -> bool:
    """Make the volume with what the archive holds, owners and modes included."""
    start = archive.tell()
    root = _root_of(archive)
    archive.seek(start)
    with _holding(api, image, name) as container:
        # The engine passes over the owner and mode of the directory that it unpacks into.
        is_owned = api.put_archive(container, "/", root)
        return bool(is_owned and api.put_archive(container, PLACE, archive))


def _root_of(archive: BinaryIO) -> bytes:
    """An archive of the volume's own directory alone, as the given one has it."""
    with tarfile.open(fileobj=archive, mode="r:") as content:
        first = content.next()
    root = tarfile.TarInfo(PLACE.strip("/"))
    root.type, root.mode = tarfile.DIRTYPE, 0o755
    if first is not None and first.isdir() and first.name == ".":
        root.mode, root.uid, root.gid, root.mtime = first.mode, first.uid, first.gid, first.mtime
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as content:
        content.addfile(root)
    return written.getvalue()


def let_go(api: Any, name: str) -> None:
    """Remove what a process left that was killed in the middle: it keeps the volume in use."""
    with suppress(NotFound):
        api.remove_container(_container_name(name), force=True)


@contextmanager
def _holding(api: Any, image: str, name: str) -> Iterator[str]:
    let_go(api, name)
    # Without the copy of what the image has at that place, and on the engine's side of the
    # container's walls: the archive is unpacked below the volume, whatever paths it names.
    mount = Mount(PLACE, name, type="volume", no_copy=True)
    created = api.create_container(
        image,
        # Never run, but the engine asks for one.
        ["true"],
        name=_container_name(name),
        host_config=api.create_host_config(mounts=[mount], network_mode="none"),
    )
    try:
        yield created["Id"]
    finally:
        let_go(api, name)


def _container_name(volume: str) -> str:
    return f"{volume}-transfer"
