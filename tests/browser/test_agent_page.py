"""A person's way through the product, in a real browser, against a running product."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PATIENCE_MS

pytestmark = [pytest.mark.live, pytest.mark.browser]

COUNT_FOR_EVER = "n=0; while true; do n=$((n+1)); echo tick $n; sleep 0.1; done"


def run(page, command):
    page.get_by_label("Command to run in the agent").fill(command)
    page.get_by_role("button", name="Run", exact=True).click()
    return page.locator("#operation-rows tr").first


def numbers(page, log):
    """The sequence numbers of the lines that are shown."""
    shown = f"#{log} [data-seq]"
    return page.eval_on_selector_all(shown, "lines => lines.map(line => Number(line.dataset.seq))")


def test_new_log_lines_arrive_while_one_watches(page, agent, tmp_path):
    expect(page.locator("#connection")).to_have_text("Live")
    expect(page.locator("#agent .heading .pill")).to_have_text("running")
    # What is written to the container's first process is the agent's own log.
    run(page, f"({COUNT_FOR_EVER}) > /proc/1/fd/1")
    log = page.locator("#log")
    expect(log).to_contain_text("tick 1", timeout=PATIENCE_MS)
    expect(log).to_contain_text("tick 30", timeout=PATIENCE_MS)
    seen = numbers(page, "log")
    assert seen == list(range(seen[0], seen[-1] + 1))
    page.screenshot(path=tmp_path / "agent.png", full_page=True)
    assert (tmp_path / "agent.png").stat().st_size > 10_000


def test_a_command_shows_its_output_as_it_is_written_and_can_be_canceled(page, agent):
    row = run(page, COUNT_FOR_EVER)
    output = page.locator("#operation-log")
    expect(output).to_contain_text("tick 1", timeout=PATIENCE_MS)
    expect(output).to_contain_text("tick 20", timeout=PATIENCE_MS)
    seen = numbers(page, "operation-log")
    assert seen == list(range(1, len(seen) + 1))
    row.get_by_role("button", name="Cancel").click()
    expect(row.locator(".pill")).to_have_text("canceled", timeout=PATIENCE_MS)


def test_output_that_looks_like_a_page_stays_text(page, agent):
    row = run(page, r"printf '\033[31m<img src=x onerror=alert(1)>\033[0m\n'; exit 3")
    line = page.locator("#operation-log [data-seq]").first
    expect(line).to_have_text("<img src=x onerror=alert(1)>", timeout=PATIENCE_MS)
    expect(line.locator(".ansi-fg-1")).to_have_count(1)
    expect(line.locator("img")).to_have_count(0)
    expect(row).to_contain_text("exit code 3", timeout=PATIENCE_MS)


def test_cpu_and_memory_are_drawn_live(page, agent):
    expect(page.locator("#memory-now")).to_have_text(
        re.compile(r"[\d.]+\s(MB|GB) of"), timeout=PATIENCE_MS
    )
    expect(page.locator("#cpu-now")).to_have_text(re.compile(r"[\d.]+\s%"), timeout=PATIENCE_MS)
    expect(page.locator("#cpu-chart canvas")).to_have_count(1)


def test_the_log_goes_on_without_gap_or_repetition_after_a_lost_connection(page, agent):
    run(page, COUNT_FOR_EVER)
    expect(page.locator("#operation-log")).to_contain_text("tick 5", timeout=PATIENCE_MS)
    page.context.set_offline(True)
    expect(page.locator("#connection")).to_contain_text("lost")
    page.context.set_offline(False)
    expect(page.locator("#connection")).to_have_text("Live", timeout=PATIENCE_MS)
    expect(page.locator("#operation-log")).to_contain_text("tick 60", timeout=PATIENCE_MS)
    seen = numbers(page, "operation-log")
    assert seen == list(range(1, len(seen) + 1))


def test_the_admins_list_follows_the_engine(page, agent, product):
    listing = page.context.new_page()
    listing.goto("/admin/agents/agent/")
    status = listing.locator(f'[data-agent="{agent}"][data-shows="status"]')
    expect(status).to_have_text("running", timeout=PATIENCE_MS)
    page.get_by_role("button", name="Stop").click()
    expect(status).to_have_text("stopped", timeout=PATIENCE_MS)
    expect(page.locator("#agent .heading .pill")).to_have_text("stopped")
    expect(page.locator("#log [data-seq]").first).to_be_visible()
