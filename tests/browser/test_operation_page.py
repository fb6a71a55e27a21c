"""The page of one operation, in a real browser, against a running product."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PATIENCE_MS, csrf_token
from tests.product import Product

pytestmark = [pytest.mark.live, pytest.mark.browser]

COUNT_FOR_EVER = "n=0; while true; do n=$((n+1)); echo tick $n; sleep 0.1; done"
NARROW = {"width": 420, "height": 860}


@pytest.fixture(scope="module")
def product():
    """An agent of it runs one operation at a time, so that the next one waits."""
    product = Product(environment={"TRINITY_OPERATIONS_PER_AGENT": "1"})
    product.start()
    yield product
    product.remove()


@pytest.fixture(scope="module")
def agent(product):
    """Shared by the tests: each leaves nothing that runs."""
    product.create_agent("seen")
    return "seen"


def run(page, agent, command):
    """By the form of the agent's page; returns the path of the operation's."""
    page.goto(f"/agents/{agent}/operations")
    page.get_by_label("Command or prompt").fill(command)
    page.get_by_role("button", name="Run", exact=True).click()
    return arrived(page)


def arrived(page, *, not_at=""):
    page.wait_for_url(lambda url: "/operations/" in url and not (not_at and url.endswith(not_at)))
    expect(page.locator("#connection")).to_have_text("Live", timeout=PATIENCE_MS)
    return page.url.partition("/operations/")[2]


def expect_status(page, status):
    expect(page.locator("#operation .heading .pill")).to_have_text(status, timeout=PATIENCE_MS)


def cancel(page):
    page.get_by_role("button", name="Cancel").click()
    expect_status(page, "canceled")


def numbers(page):
    return page.eval_on_selector_all(
        "#log [data-seq]", "lines => lines.map(line => Number(line.dataset.seq))"
    )


def test_lines_arrive_and_can_be_paused_searched_canceled_and_run_again(page, agent):
    first = run(page, agent, COUNT_FOR_EVER)
    expect_status(page, "processing")
    log = page.locator("#log")
    expect(log).to_contain_text("tick 40", timeout=PATIENCE_MS)
    assert (seen := numbers(page)) == list(range(1, len(seen) + 1))
    expect(page.locator("#clock")).to_have_text(re.compile(r"^\d+\ss$"))

    page.get_by_role("button", name="Following").click()
    place = log.locator("[data-lines]").evaluate("lines => lines.scrollTop")
    news = page.get_by_role("button", name=re.compile(r"\d+ new lines"))
    expect(news).to_be_visible(timeout=PATIENCE_MS)
    expect(news).to_have_text(re.compile(r"[1-9]\d new"), timeout=PATIENCE_MS)
    assert log.locator("[data-lines]").evaluate("lines => lines.scrollTop") == place
    news.click()
    expect(news).to_be_hidden()

    search = page.get_by_label("Search the whole log")
    search.fill("tick 17")
    search.press("Enter")
    expect(page.locator("#found [data-seq='17']")).to_have_text("tick 17")
    expect(log).to_be_hidden()
    search.fill("")
    search.press("Enter")
    expect(log).to_be_visible()

    cancel(page)
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    expect(page.locator('[data-field="finished_at"]')).not_to_have_text("not yet")
    page.get_by_role("button", name="Run again").click()
    arrived(page, not_at=first)
    expect(log).to_contain_text("tick 2", timeout=PATIENCE_MS)
    cancel(page)


def test_the_whole_of_a_long_log_is_downloaded_and_searched(page, agent):
    run(page, agent, "seq 100000")
    expect_status(page, "succeeded")
    expect(page.locator("#log")).to_contain_text("100000", timeout=PATIENCE_MS)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    text = download.value.path().read_text()
    assert text == "".join(f"{number}\n" for number in range(1, 100_001))
    search = page.get_by_label("Search the whole log")
    search.fill("4242")
    search.press("Enter")
    expect(page.locator("#found [data-seq='4242']")).to_have_text("4242")
    expect(page.locator("#found [data-count]")).to_have_text("20 matching lines")


def test_what_it_leaves_behind_appears_when_it_ends(page, agent):
    run(page, agent, 'echo kept > "$TRINITY_OUT/notes é.txt"; echo failing; sleep 1.2; exit 3')
    expect(page.get_by_text("None yet")).to_be_visible()
    row = page.locator("#artifacts tr")
    expect(row).to_contain_text("notes é.txt", timeout=PATIENCE_MS)
    expect_status(page, "failed")
    expect(page.locator('[data-field="outcome"]')).to_have_text("exit code 3")
    expect(page.locator("#clock")).to_have_text(re.compile(r"^\d+\.\d\ss$"))
    with page.expect_download() as download:
        row.get_by_role("link").click()
    assert download.value.path().read_text() == "kept\n"
    page.set_viewport_size(NARROW)
    for path in (page.url, f"/agents/{agent}/operations"):
        page.goto(path)
        expect(page.locator("#connection")).to_have_text("Live", timeout=PATIENCE_MS)
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]


def test_an_environment_that_is_not_kept_is_asked_for(page, agent):
    request = {"agent": agent, "command": ["sh", "-c", "echo key $API_KEY"]}
    made = page.request.post(
        "/api/v1/operations",
        data={**request, "env": {"API_KEY": "old"}},
        headers={"X-CSRFToken": csrf_token(page)},
    ).json()
    page.goto(f"/operations/{made['id']}")
    expect_status(page, "succeeded")
    page.get_by_role("button", name="Run again").click()
    dialog = page.get_by_role("dialog", name="Run again")
    dialog.get_by_label("API_KEY").fill("new")
    dialog.get_by_role("button", name="Run again").click()
    arrived(page, not_at=made["id"])
    expect(page.locator("#log")).to_contain_text("key new", timeout=PATIENCE_MS)
    expect_status(page, "succeeded")


def test_what_waits_moves_up_in_line_and_begins_by_itself(page, agent):
    first = run(page, agent, COUNT_FOR_EVER)
    expect_status(page, "processing")
    second = run(page, agent, "echo second")
    expect(page.locator("#waiting")).to_contain_text("number 1 in line")
    run(page, agent, "true")
    waiting = page.locator("#waiting")
    expect(waiting).to_contain_text("number 2 in line")
    other = page.context.new_page()
    for path in (second, first):
        other.goto(f"/operations/{path}")
        other.get_by_role("button", name="Cancel").click()
        if path == second:
            expect(waiting).to_contain_text("number 1 in line", timeout=PATIENCE_MS)
    expect_status(page, "succeeded")
    expect(waiting).to_be_hidden()
    expect(page.get_by_text("It wrote nothing.")).to_be_visible(timeout=PATIENCE_MS)


def test_the_admin_shows_log_and_state_live_and_leads_to_the_page(page, agent):
    operation = run(page, agent, COUNT_FOR_EVER)
    expect_status(page, "processing")
    admin = page.context.new_page()
    admin.goto(f"/admin/operations/operation/{operation}/change/")
    expect(admin.locator("#log")).to_contain_text("tick 20", timeout=PATIENCE_MS)
    state = admin.locator(f'[data-operation="{operation}"][data-shows="status"]')
    expect(state).to_have_text("processing")
    cancel(page)
    expect(state).to_have_text("canceled", timeout=PATIENCE_MS)
    admin.get_by_role("link", name="Open", exact=True).click()
    admin.wait_for_url(f"**/operations/{operation}")
