import os
import shutil
import time

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.product import Product

ARGUMENTS = ["--no-sandbox", "--headless", "--disable-gpu", "--disable-quic", "--no-first-run"]
ARGUMENTS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
PATIENCE_MS = 30_000


@pytest.fixture(scope="module")
def product():
    """A running product, shared by the tests of a module."""
    product = Product()
    product.start()
    yield product
    product.remove()


@pytest.fixture
def own_product():
    """A running product that the test may kill."""
    product = Product()
    product.start()
    yield product
    product.remove()


@pytest.fixture(scope="module")
def chromium():
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        # Where an engine is asked for, so is all that make test installs.
        assert os.environ.get("TRINITY_REQUIRE_ENGINE") != "1", "Chromium is not installed"
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium, product):
    """A page signed in as the administrator; whatever the browser complains of fails the test."""
    context = chromium.new_context(base_url=product.url)
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: is_complaint(message) and complaints.append(message.text))
    sign_in(page, product)
    yield page
    context.close()
    assert not complaints


@pytest.fixture
def agent(page):
    """The name of an agent that was made in the page's own form."""
    name = f"seen-{time.time_ns()}"
    page.get_by_role("button", name="New agent").click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("button", name="Create agent").click()
    row = page.locator(f'tr[data-agent="{name}"]')
    expect(row.locator(".pill")).to_have_text("running", timeout=PATIENCE_MS)
    row.get_by_role("link").click()
    page.wait_for_url(f"**/agents/{name}")
    yield name
    page.request.delete(f"/api/agents/{name}", headers={"X-CSRFToken": csrf_token(page)})


def is_complaint(message):
    """A refusal that the page shows is not one, though the browser logs it too."""
    return message.type == "error" and "status of 400" not in message.text


def sign_in(page, product):
    page.goto("/")
    page.get_by_label("User name").fill("admin")
    page.get_by_label("Password").fill(product.admin_password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/agents")


def csrf_token(page):
    return page.locator("[name=csrfmiddlewaretoken]").first.get_attribute("value")
