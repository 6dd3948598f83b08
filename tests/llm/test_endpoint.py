from __future__ import annotations

import pytest

from rubricate.errors import SettingsError
from rubricate.llm.endpoint import Endpoint


@pytest.mark.parametrize(
    ("written", "posted_to"),
    [
        ("http://localhost:4000", "http://localhost:4000/v1/chat/completions"),
        ("http://localhost:4000/", "http://localhost:4000/v1/chat/completions"),
        (" http://localhost:4000/v1 ", "http://localhost:4000/v1/chat/completions"),
        ("http://localhost:4000/v1/", "http://localhost:4000/v1/chat/completions"),
        ("https://a.example/v1/chat/completions", "https://a.example/v1/chat/completions"),
        ("https://a.example/chat/completions/", "https://a.example/v1/chat/completions"),
        ("https://a.example/api/v1", "https://a.example/api/v1/chat/completions"),
        ("https://a.example/v1beta/openai/", "https://a.example/v1beta/openai/chat/completions"),
        ("http://[::1]:80", "http://[::1]:80/v1/chat/completions"),
    ],
)
def test_a_base_url_may_be_written_as_people_do(written: str, posted_to: str) -> None:
    """With or without /v1, slash or the whole path: the address of the completions is the same."""
    assert Endpoint(written).chat_url == posted_to


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "localhost:4000",
        "ftp://a.example",
        "http://",
        "http://a:b",
        "http://u:p@a.example",
        "http://a/?k=v",
    ],
)
def test_what_is_no_address_is_refused(wrong: str) -> None:
    """A mistyped address is a settings error before anything is sent; a password in it is not repeated."""
    with pytest.raises(SettingsError) as caught:
        Endpoint(wrong)
    assert "u:p" not in str(caught.value)


def test_the_key_is_not_in_the_repr() -> None:
    """An endpoint may be logged."""
    endpoint = Endpoint("http://localhost:4000", "  sk-secret\n")
    assert endpoint.headers["Authorization"] == "Bearer sk-secret"
    assert "sk-secret" not in repr(endpoint) + str(endpoint)


def test_a_key_cannot_smuggle_a_header() -> None:
    """A line break inside a key is a mistake of the settings; the message does not repeat the key."""
    with pytest.raises(SettingsError) as caught:
        Endpoint("http://localhost:4000", "sk-secret\r\nX-Other: 1")
    assert "sk-secret" not in str(caught.value)


def test_this_machine_is_not_reached_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment's proxy serves other hosts, not loopback and not what NO_PROXY names."""
    for name, value in {"http_proxy": "http://proxy.example:3128", "no_proxy": "inside.example"}.items():
        monkeypatch.setenv(name, value)
    assert Endpoint("http://llm.example").proxy == "http://proxy.example:3128"
    assert Endpoint("http://inside.example").proxy is None
    for local in ("localhost:4000", "127.0.0.1:8000", "[::1]:8000"):
        assert Endpoint(f"http://{local}").proxy is None
