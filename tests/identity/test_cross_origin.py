import pytest

PREFLIGHT = {"origin": "https://ours.example", "access-control-request-method": "GET"}


def test_no_origin_is_allowed_by_default(client, api):
    assert client.options("/api/users/me", headers=PREFLIGHT).status_code == 401
    response = api.get("/api/users/me", headers={"origin": "https://ours.example"})
    assert "Access-Control-Allow-Origin" not in response


@pytest.mark.parametrize(("origin", "status"), [("https://ours.example", 204), ("https://x", 401)])
def test_a_listed_origin_may_ask_first(client, db, settings, origin, status):
    settings.TRINITY_ALLOWED_ORIGINS = ["https://ours.example"]
    response = client.options("/api/users/me", headers=PREFLIGHT | {"origin": origin})
    assert response.status_code == status
    assert response.get("Access-Control-Allow-Origin") == (origin if status == 204 else None)


def test_a_listed_origin_reads_answers_and_errors_but_not_with_cookies(client, api, settings):
    settings.TRINITY_ALLOWED_ORIGINS = ["https://ours.example"]
    for response in (
        api.get("/api/users/me", headers={"origin": "https://ours.example"}),
        client.get("/api/users/me", headers={"origin": "https://ours.example"}),
    ):
        assert response["Access-Control-Allow-Origin"] == "https://ours.example"
        assert "Access-Control-Allow-Credentials" not in response
        assert "Origin" in response["Vary"]
