"""What may stand in a ``template.yaml``, and what is said of one that cannot be used."""

import os

import pytest

from agents import templates
from agents.template_file import Broken, parse

WHOLE = """
name: writer
display_name: The writer
description: |
  Writes.
type: author
version: 1.10
author: Ada
image: trinity-agent-base:latest
resources: {cpu: 1, memory: 1g, disk: 20g}
command: [python3, -m, writer]
prompt_command: [writer, --prompt, "{prompt}"]
environment:
  API_KEY: where it is billed
  REGION: ""
capabilities: [writing, no]
metrics:
  - {name: words, type: counter, label: Words written}
  - name: mood
"""


@pytest.fixture
def folder(settings, tmp_path):
    """The operator's directory of templates."""
    settings.TRINITY_TEMPLATES_DIR = tmp_path / "templates"
    settings.TRINITY_TEMPLATES_DIR.mkdir()
    templates.forget_all()
    return settings.TRINITY_TEMPLATES_DIR


def write(folder, name, text):
    (folder / name).mkdir()
    (folder / name / "template.yaml").write_text(text)


def error_of(folder, name="a"):
    return templates.find(f"local:{name}").error


def test_all_that_a_file_says_is_taken_as_it_stands_there():
    found = parse(WHOLE.encode())
    assert (found.name, found.display_name, found.description) == (
        "writer",
        "The writer",
        "Writes.",
    )
    # Neither 1.1 nor False, which other readers of YAML would make of them.
    assert (found.version, found.capabilities) == ("1.10", ["writing", "no"])
    assert (found.cpu, found.memory, found.disk) == ("1", "1g", "20g")
    assert found.prompt_command == ["writer", "--prompt", "{prompt}"]
    assert found.environment == {"API_KEY": "where it is billed", "REGION": ""}
    assert found.metrics == [
        {"name": "words", "type": "counter", "label": "Words written"},
        {"name": "mood", "type": "gauge", "label": "mood"},
    ]


def test_what_it_leaves_out_is_as_in_the_built_in_one(folder):
    built_in = templates.find(templates.DEFAULT).usable
    found = parse(b"name: a")
    for name in ("type", "image", "memory", "cpu", "disk", "command", "prompt_command"):
        assert getattr(found, name) == getattr(built_in, name), name


def test_names_of_the_environment_may_be_a_plain_list():
    assert parse(b"name: a\nenvironment: [ONE, TWO]").environment == {"ONE": "", "TWO": ""}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "The file must be a mapping of names to values"),
        ("- a", "The file must be a mapping of names to values"),
        ("name: [", "The file is not valid YAML in line 1: "),
        ("name: a\nname: [b]\n", "name must be text"),
        ("display_name: a", "name is missing"),
        ("name: ' '", "name must be a line of text that is not empty"),
        ("name: a\nimagee: x", "The file has 'imagee', but may only have: name, display_name"),
        ("name: a\n? [1]\n: x", "The file is not valid YAML"),
        ("name: a\nimage: evil:latest", "image 'evil:latest' is not on the list of TRINITY_IMAGES"),
        ("name: a\nresources: {memory: 3g}", "resources.memory must be one of: 1g, 2g"),
        ("name: a\nresources: {gpu: 1}", "resources has 'gpu', but may only have: cpu"),
        ("name: a\ncommand: run it", "command must be a list"),
        ("name: a\ncommand: ['']", "command must begin with the name of a program"),
        ("name: a\ncommand: [a, [b]]", "command[1] must be text"),
        ('name: a\ncommand: ["a\\0"]', "command[0] may not hold NUL or half characters"),
        ("name: a\nenvironment: [a-b]", "environment[0] must name variables by letters"),
        ("name: a\nenvironment: [TRINITY_X]", "TRINITY_ is Trinity's own"),
        ("name: a\nmetrics: [{type: gauge}]", "metrics[0].name is missing"),
        ("name: a\nmetrics: [{name: a, type: pie}]", "metrics[0].type must be one of: counter"),
        (f"name: a\ndescription: {'x' * 4001}", "description is longer than 4000 characters"),
        (f"name: a\ncapabilities: [{'x,' * 101}]", "capabilities has more than 100 entries"),
        ("name: a\ndescription: !!python/object/apply:os.getpid []", "description must be text"),
        ("[" * 20_000, "The file is nested too deeply"),
    ],
)
def test_a_broken_file_is_told_with_its_reason(text, reason):
    with pytest.raises(Broken) as told:
        parse(text.encode())
    assert reason in str(told.value)
    assert len(str(told.value)) < 500


def test_bytes_that_are_no_text_are_told(folder):
    (folder / "a").mkdir()
    (folder / "a" / "template.yaml").write_bytes(b"name: \xff")
    assert error_of(folder) == "The file is not UTF-8 text"


def test_aliases_do_not_make_a_small_file_large():
    lines = ["name: a", "x0: &x0 [lol, lol]"]
    lines += [f"x{n}: &x{n} [*x{n - 1}, *x{n - 1}, *x{n - 1}, *x{n - 1}]" for n in range(1, 40)]
    with pytest.raises(Broken) as told:
        parse("\n".join(lines).encode())
    assert len(str(told.value)) < 500
    with pytest.raises(Broken):
        parse(b"name: a\ncapabilities: &a [*a]")


def test_a_folder_is_a_template_and_the_built_in_one_is_always_there(folder):
    write(folder, "writer", WHOLE)
    (folder / "README").write_text("no folder")
    (folder / ".git").mkdir()
    assert [each.id for each in templates.all_templates()] == ["local:default", "local:writer"]


def test_without_the_directory_there_is_the_built_in_one(folder):
    folder.rmdir()
    assert [each.id for each in templates.all_templates()] == ["local:default"]


def test_an_operators_default_stands_in_for_the_built_in_one(folder):
    write(folder, "default", "name: default\ndisplay_name: Ours")
    [found] = templates.all_templates()
    assert found.display_name == "Ours"


def test_a_file_that_changes_is_read_anew(folder):
    write(folder, "a", "name: a\ntype: one")
    assert templates.find("local:a").usable.type == "one"
    (folder / "a" / "template.yaml").write_text("name: a\ntype: two")
    assert templates.find("local:a").usable.type == "two"


def test_an_image_that_is_no_longer_allowed_breaks_its_template(folder, settings):
    write(folder, "a", "name: a\nimage: other:1")
    settings.TRINITY_IMAGES = ["trinity-agent-base:latest", "other:1"]
    assert error_of(folder) == ""
    settings.TRINITY_IMAGES = ["trinity-agent-base:latest"]
    assert "other:1" in error_of(folder)


def test_a_name_that_no_agent_could_record_is_told(folder):
    write(folder, "My Template", "name: a")
    [broken] = [each for each in templates.all_templates() if each.error]
    assert broken.id == "local:My Template"
    assert "small letters" in broken.error


def test_a_folder_without_the_file_is_told(folder):
    (folder / "a").mkdir()
    assert error_of(folder) == "template.yaml is missing"


def test_no_link_is_followed(folder, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "template.yaml").write_text("name: secret")
    (folder / "a").symlink_to(outside)
    (folder / "b").mkdir()
    (folder / "b" / "template.yaml").symlink_to(outside / "template.yaml")
    assert "is a link or no folder" in error_of(folder, "a")
    assert "cannot be opened, it may be a link" in error_of(folder, "b")


def test_a_pipe_is_not_waited_for(folder):
    (folder / "a").mkdir()
    os.mkfifo(folder / "a" / "template.yaml")
    assert error_of(folder) == "template.yaml is no regular file"


def test_a_huge_file_is_not_read(folder):
    write(folder, "a", "name: a")
    with (folder / "a" / "template.yaml").open("ab") as file:
        file.truncate(2**40)
    assert error_of(folder) == "template.yaml is larger than 65536 bytes"
