"""Whether what is recorded and what is on the engine agree, and nothing is left half done."""

import sqlite3
from contextlib import closing

import psycopg


def rows(product, query):
    """What the product's own database says, whether the product runs or not."""
    if url := product.environment.get("DATABASE_URL"):
        with psycopg.connect(url) as database:
            return database.execute(query).fetchall()
    path = f"file:{product.data_dir}/trinity.sqlite3?mode=ro"
    with closing(sqlite3.connect(path, uri=True, timeout=20)) as database:
        return database.execute(query).fetchall()


def change(product, statement, *values):
    """Pretend in the database of a product with SQLite what else would take days."""
    path = product.data_dir / "trinity.sqlite3"
    with closing(sqlite3.connect(path, timeout=20)) as database, database:
        database.execute(statement, values)


def under_way(product):
    """Agents that somebody still works on, or that look as if."""
    return rows(
        product,
        "SELECT name, status, verb FROM agents_agent "
        "WHERE verb <> '' OR deleting OR status IN ('starting', 'stopping')",
    )


def differences(product, engine):
    """Describe each thing that is in one place and not in the other; empty when all agree."""
    agents = rows(product, "SELECT uid, name, status, container_id, generation FROM agents_agent")
    found = product.containers(engine)
    running = {container.id for container in found if container.status == "running"}
    owned = {container_id for *_, container_id, _ in agents}
    wrong = [f"container {each.name} has no agent" for each in found if each.id not in owned]
    if len(found) != len(owned - {""}):
        wrong.append(f"{len(found)} containers for {len(agents)} agents")
    wrong += [
        f"{name} is {status}, its container {'runs' if container_id in running else 'does not'}"
        for _, name, status, container_id, _ in agents
        if (status == "running") != (container_id in running)
    ]
    uids = {uid for uid, *_ in agents}
    uids |= {uid for (uid,) in rows(product, "SELECT uid FROM agents_retainedworkspace")}
    volumes = engine.volumes.list(filters={"name": f"trinity-{product.instance}-"})
    wrong += [f"volume {each.name}" for each in volumes if each.name.split("-")[2] not in uids]
    directories = {f"{uid}-{generation}" for uid, *_, generation in agents}
    left = {path.name for path in (product.data_dir / "sockets").glob("*-*")} - directories
    return [*wrong, *(f"run directory {name}" for name in left)]
