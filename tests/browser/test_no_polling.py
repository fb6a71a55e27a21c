"""An open page asks for nothing: what is new comes by its socket."""

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.live

# Longer than the samples of the figures are apart, and than any wait for a retry.
QUIET_MS = 6_000


@pytest.mark.parametrize("part", ["", "/history", "/settings"])
def test_an_open_agent_page_asks_for_nothing(page, agent, part):
    page.goto(f"/agents/{agent}{part}")
    page.wait_for_load_state("networkidle")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(QUIET_MS)
    assert asked == []


def test_nor_does_the_list_which_goes_on_to_show_figures(page, agent):
    page.goto("/")
    row = page.locator(f'tr[data-agent="{agent}"]')
    expect(row.locator(".pill")).to_have_text("running")
    page.wait_for_load_state("networkidle")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(QUIET_MS)
    assert asked == []
