"""EventSource of a real browser: lost connections, the end, pages of other origins."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.browser.conftest import PATIENCE_MS, sign_in
from tests.product import Product
from tests.relay import relay

pytestmark = [pytest.mark.live, pytest.mark.browser]

LINES = 300
COUNT = f"""
import time
for number in range(1, {LINES} + 1):
    print("line", number, flush=True)
    time.sleep(0.03)
"""
EXPECTED = [[number, f"line {number}"] for number in range(1, LINES + 1)]
# In the first lines, in the middle of one, between two.
CUTS = [400, 1000, 1501]

FOLLOW = """
([url, options]) => {
  const seen = (window.seen = { lines: [], states: [], ends: [], lost: 0 });
  const source = (window.source = new EventSource(url, options));
  source.onerror = () => { seen.lost += 1; };
  source.onmessage = ({ data, lastEventId }) => {
    const event = JSON.parse(data);
    if (event.type === "log") seen.lines.push([Number(lastEventId), event.content]);
    if (event.type === "status") seen.states.push(event.status);
    if (event.type === "end") seen.ends.push([Number(lastEventId), event.status, event.exit_code]);
  };
}
"""
CLOSED = "() => window.source.readyState === EventSource.CLOSED"
TICKET = """
async ([url, token, path]) => {
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  const body = JSON.stringify({ for: path });
  const answer = await fetch(`${url}/api/tickets`, { method: "POST", headers, body });
  return (await answer.json()).ticket;
}
"""
RESUME = """
async ([url, token, last]) => {
  const headers = { Authorization: `Bearer ${token}`, "Last-Event-ID": last };
  try {
    const answer = await fetch(url, { headers });
    return [answer.status, await answer.text()];
  } catch (error) {
    return [0, String(error)];
  }
}
"""


class Blank(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title>")

    def log_message(self, *_):
        pass


@contextmanager
def pages_of_an_origin():
    with ThreadingHTTPServer(("127.0.0.1", 0), Blank) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def ours():
    with pages_of_an_origin() as origin:
        yield origin


@pytest.fixture(scope="module")
def product(ours):
    product = Product(environment={"TRINITY_ALLOWED_ORIGINS": ours})
    product.start()
    product.create_agent("seen")
    yield product
    product.remove()


@pytest.fixture
def page(chromium):
    page = chromium.new_page()
    page.set_default_timeout(PATIENCE_MS)
    yield page
    page.close()


def stream_of(operation):
    return f"/api/v1/operations/{operation}/stream"


def shows(page, condition):
    return page.wait_for_function(condition, timeout=PATIENCE_MS)


def test_it_resumes_by_itself_without_gap_or_repetition_and_stops_at_the_end(chromium, product):
    operation = product.run("seen", "python3", "-c", COUNT)
    with relay(product.port, path=b"/stream", cuts=CUTS) as port:
        page = chromium.new_page(base_url=f"http://127.0.0.1:{port}")
        sign_in(page, product)
        page.evaluate(FOLLOW, [stream_of(operation), {}])
        shows(page, "() => window.seen.lines.length >= 20")
        # And the product dies, with its supervisor, in the middle of the next connection.
        product.kill()
        product.start()
        shows(page, CLOSED)
        seen = page.evaluate("() => window.seen")
        page.close()
    assert seen["lines"] == EXPECTED
    assert seen["ends"] == [[LINES + 1, "succeeded", 0]]
    assert seen["states"][-2:] == ["processing", "succeeded"]
    assert seen["lost"] > len(CUTS)


def test_a_page_of_a_listed_origin_follows_by_a_ticket_and_stops(page, product, ours):
    operation = product.run("seen", "echo", "here")
    page.goto(ours)
    path = stream_of(operation)
    ticket = page.evaluate(TICKET, [product.url, product.token, path])
    page.evaluate(FOLLOW, [f"{product.url}{path}?ticket={ticket}", {}])
    # The ticket was for once: when it asks again it is refused, reads so, and gives up.
    shows(page, CLOSED)
    seen = page.evaluate("() => window.seen")
    assert seen["lines"] == [[1, "here"]]
    assert seen["ends"] == [[2, "succeeded", 0]]


def test_a_page_of_a_listed_origin_resumes_by_a_token(page, product, ours):
    operation = product.run("seen", "printf", "a\\nb\\nc\\n")
    product.finished(operation)
    page.goto(ours)
    url = product.url + stream_of(operation)
    status, text = page.evaluate(RESUME, [url, product.token, "2"])
    assert status == 200
    assert [line for line in text.splitlines() if line.startswith("id")] == ["id: 3", "id: 4"]
    assert page.evaluate(RESUME, [url, product.token, "4"]) == [204, ""]
    assert page.evaluate(RESUME, [url, "wrong", "2"])[0] == 401
    missing = f"{product.url}/api/v1/operations/00000000-0000-0000-0000-000000000000/stream"
    assert page.evaluate(RESUME, [missing, product.token, "2"])[0] == 404


def test_who_is_signed_in_gives_pages_of_other_origins_nothing(chromium, product, ours):
    operation = product.run("seen", "echo", "secret")
    product.finished(operation)
    context = chromium.new_context(base_url=product.url)
    page = context.new_page()
    sign_in(page, product)
    with pages_of_an_origin() as other:
        for origin in (ours, other):
            page.goto(origin)
            url = product.url + stream_of(operation)
            # Ports share cookies: the browser sends the session along.
            page.evaluate(FOLLOW, [url, {"withCredentials": True}])
            shows(page, "() => window.seen.lost > 0")
            assert page.evaluate("() => window.seen.lines.concat(window.seen.ends)") == []
        assert page.evaluate(RESUME, [url, product.token, "0"])[0] == 0
    context.close()
