"""The other parts of an agent's page: files, git, history, settings."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PATIENCE_MS
from tests.waiting import wait_until

pytestmark = [pytest.mark.live, pytest.mark.browser]


def part(page, name):
    page.get_by_label("Parts of this agent").get_by_role("link", name=name).click()
    page.wait_for_url(f"**/{name.lower()}")


def test_a_file_goes_up_into_a_directory_comes_down_and_is_deleted(page, agent, tmp_path):
    sent = tmp_path / "weekly notes é.txt"
    sent.write_bytes(b"\0 as it is \xff")
    part(page, "Files")
    page.locator("#upload").set_input_files(sent)
    row = page.locator("#files tr", has_text=sent.name)
    expect(row).to_contain_text("12", timeout=PATIENCE_MS)
    with page.expect_download() as download:
        row.get_by_role("link").click()
    assert download.value.path().read_bytes() == sent.read_bytes()
    page.on("dialog", lambda dialog: dialog.accept())
    row.get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)


def test_a_value_is_set_and_a_secret_is_not_shown(page, agent):
    part(page, "Settings")
    form = page.locator("#set-environment")
    form.get_by_label("Name").fill("API_KEY")
    form.get_by_label("Value").fill("only-for-its-programs")
    form.get_by_role("button", name="Set").click()
    row = page.locator("#environment tr", has_text="API_KEY")
    expect(row).to_contain_text("••••")
    assert "only-for-its-programs" not in page.content()
    expect(page.locator("#recreate")).to_be_visible()
    row.get_by_role("button", name="Remove").click()
    expect(row).to_have_count(0)
    expect(page.locator("#recreate")).to_be_hidden()


def test_limits_are_applied_to_what_runs(page, agent):
    part(page, "Settings")
    form = page.locator("#limits")
    form.get_by_label("Memory").select_option("1g")
    form.get_by_role("button", name="Apply").click()
    expect(form.get_by_role("status")).to_have_text("Applied", timeout=PATIENCE_MS)
    expect(page.locator("#applied")).to_contain_text("1g")


def test_sharing_says_what_is_wrong_and_what_was_done(page, agent):
    part(page, "Settings")
    form = page.locator("#share")
    form.get_by_label("E-mail").fill("eve@example.org")
    form.get_by_role("button", name="Share").click()
    row = page.locator("#shares tr", has_text="eve@example.org")
    expect(row).to_contain_text("viewer")
    row.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("Shared with nobody.")).to_be_visible()


def test_what_happens_appears_in_the_history_at_once(page, agent):
    part(page, "History")
    expect(page.locator("#activities")).to_contain_text("create")
    page.get_by_role("button", name="Stop").click()
    stopped = page.locator("#activities tr", has_text="stop")
    expect(stopped.locator(".pill")).to_have_text("completed", timeout=PATIENCE_MS)
    with page.expect_download() as download:
        page.get_by_role("link", name="Export as CSV").click()
    assert "create" in download.value.path().read_text()


def test_a_repository_that_is_refused_says_why(page, agent):
    part(page, "Git")
    expect(page.locator("#git-said")).to_contain_text("not configured", timeout=PATIENCE_MS)
    page.get_by_label("Address").fill("ext::sh -c whoami")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#git-config").get_by_role("status")).to_contain_text("https")


def test_the_whole_log_is_searched_and_the_live_one_comes_back(page, agent):
    expect(page.locator("#log")).to_contain_text("ready", timeout=PATIENCE_MS)
    field = page.get_by_label("Search the whole log")
    field.fill("agent server")
    field.press("Enter")
    expect(page.locator("#found")).to_contain_text("1 matching line")
    field.fill("")
    field.press("Enter")
    expect(page.locator("#log")).to_be_visible()


def test_charts_begin_with_the_past(page, agent):
    path = f"/api/agents/{agent}/stats/history?minutes=15"
    wait_until(lambda: len(page.request.get(path).json()["samples"]) > 3, seconds=30)
    with page.expect_response(f"**{path}") as answer:
        page.reload()
    assert len(answer.value.json()["samples"]) > 3
    expect(page.locator("#cpu-chart canvas")).to_have_count(1)


def test_deleting_asks_what_becomes_of_the_workspace(page, agent):
    part(page, "Settings")
    page.get_by_role("button", name="Delete…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Keep it for")).to_be_checked()
    dialog.get_by_label("Remove it now").first.check()
    dialog.get_by_role("button", name="Delete agent").click()
    page.wait_for_url("**/agents", timeout=PATIENCE_MS)
    expect(page.locator(f'tr[data-agent="{agent}"]')).to_have_count(0)


def test_reading_a_directory_again_while_it_is_read_leaves_the_button_as_it_was(page, agent):
    part(page, "Files")
    refresh = page.get_by_role("button", name="Refresh")
    expect(refresh).to_be_enabled(timeout=PATIENCE_MS)
    page.evaluate("for (const place of ['a', '', 'b', '']) location.hash = place")
    expect(refresh).to_be_enabled(timeout=PATIENCE_MS)
    expect(page.get_by_text("Nothing here.")).to_be_visible()
