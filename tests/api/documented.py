"""The OpenAPI document as tests need it: strict about answers, and aware of what there is."""

from copy import deepcopy

from trinity.schema import document

METHODS = ("get", "post", "put", "patch", "delete")
# Without an end; what they answer has tests of its own.
ENDLESS = {
    "/api/agents/{name}/logs/stream",
    "/api/v1/operations/{operation_id}/stream",
}


def operations():
    """Each (method, path) with what the document says of it."""
    for path, methods in document()["paths"].items():
        for method in METHODS:
            if method in methods:
                yield (method, path), methods[method]


def strict(values):
    """A copy that allows no field beyond those it names; ``values`` are worth trying in paths."""
    made = deepcopy(document())
    schemas = made["components"]["schemas"]
    for name in _answered(made):
        if "properties" in schemas[name]:
            schemas[name]["additionalProperties"] = False
    for methods in made["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", []):
                if parameter["in"] == "path" and parameter["name"] in values:
                    parameter["schema"] = {"enum": values[parameter["name"]]}
    return made


def _answered(made):
    """Names of the schemas that answers are made of."""
    found, rest = (
        set(),
        [
            answer
            for methods in made["paths"].values()
            for operation in methods.values()
            for answer in operation["responses"].values()
        ],
    )
    while rest:
        match rest.pop():
            case {"$ref": reference}:
                name = reference.rpartition("/")[2]
                if name not in found:
                    found.add(name)
                    rest.append(made["components"]["schemas"][name])
            case dict() as inner:
                rest += inner.values()
            case list() as inner:
                rest += inner
    return found


def as_json_schema(schema):
    """What OpenAPI 3.0 calls nullable, as JSON Schema says it."""
    match schema:
        case {"nullable": True, **rest}:
            return {"anyOf": [as_json_schema(rest), {"type": "null"}]}
        case dict():
            return {key: as_json_schema(inner) for key, inner in schema.items()}
        case list():
            return [as_json_schema(inner) for inner in schema]
    return schema
