def post(browser, **headers):
    body = {"for": "/ws"}
    return browser.post("/api/tickets", body, content_type="application/json", headers=headers)


def test_a_session_reads_without_a_csrf_token(browser):
    assert browser.get("/api/users/me").json()["username"] == "ada"


def test_a_session_writes_only_with_a_csrf_token(browser):
    response = post(browser)
    assert (response.status_code, response.json()["code"]) == (403, "csrf_failed")
    token = "a" * 32
    browser.cookies["csrftoken"] = token
    assert post(browser, **{"x-csrftoken": token}).status_code == 200


def test_a_bearer_needs_no_csrf_token_even_beside_a_cookie(browser, bearer):
    assert post(browser, authorization=bearer).status_code == 200


def test_a_form_that_passes_for_json_is_still_checked_for_csrf(browser):
    form = "application/x-www-form-urlencoded"
    response = browser.post("/api/tickets", '{"for": "/ws"}', content_type=form)
    assert response.status_code == 403


def test_a_disabled_user_loses_the_session(browser, user):
    user.is_active = False
    user.save()
    assert browser.get("/api/users/me").status_code == 401
