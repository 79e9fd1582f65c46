import hashlib
import socket
import threading
import time
from pathlib import Path

import huggingface_hub.constants as hub
import pytest
import timm
import torch
from huggingface_hub import close_session, hf_hub_download
from safetensors.torch import save

from competition.models.hub import (
    NETWORK_ERRORS,
    PATIENCE,
    cached_digest,
    cached_weights,
    served_digest,
    weights_at_hand,
)
from tests.hub_server import serving

NAME = "test_convnext.r160_in1k"
REPOSITORY = f"timm/{NAME}"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture
def point(monkeypatch, tmp_path):
    """A function that points the hub's client, which reads its environment at import, to a URL; its cache is empty."""
    for key in (*PROXIES, *map(str.lower, PROXIES)):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))

    def set_endpoint(url):
        monkeypatch.setattr(hub, "ENDPOINT", url)
        monkeypatch.setattr(hub, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")

    close_session()  # a client knows the proxies of the time when it was made
    yield set_endpoint
    close_session()


@pytest.fixture
def nobody():
    """The URL of a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return f"http://127.0.0.1:{port}"


def test_weights_that_the_hub_has_are_at_hand_and_asking_downloads_nothing(point, tmp_path):
    with serving({REPOSITORY: {"model.safetensors": b"weights"}}) as server:
        point(server.url)
        assert weights_at_hand(NAME) and weights_at_hand("test_convnext")
        assert set(server.asked) == {"HEAD model.safetensors"}
    assert cached_weights(NAME) is None and not (tmp_path / "hub").exists()


def test_the_older_file_is_asked_for_where_there_is_no_safetensors(point):
    with serving({REPOSITORY: {"pytorch_model.bin": b"weights"}}) as server:
        point(server.url)
        assert weights_at_hand(NAME)
        assert server.asked == ["HEAD model.safetensors", "HEAD pytorch_model.bin"]


@pytest.mark.parametrize(
    "repositories", [{REPOSITORY: {"README.md": b"no weights"}}, {}], ids=["no file", "no repository"]
)
def test_weights_that_the_hub_has_not_are_not_at_hand(point, repositories):
    with serving(repositories) as server:
        point(server.url)
        assert not weights_at_hand(NAME) and server.asked


def test_cached_weights_are_those_that_timm_loads_and_need_no_network(point, nobody, monkeypatch):
    torch.manual_seed(1)
    served = timm.create_model(NAME).state_dict()
    with serving({REPOSITORY: {"model.safetensors": save(served)}}) as server:
        point(server.url)
        loaded = timm.create_model(NAME, pretrained=True).state_dict()
        assert all(torch.equal(served[key], loaded[key]) for key in served)
        fetched = hf_hub_download(REPOSITORY, "model.safetensors")
        asked = len(server.asked)
        assert str(cached_weights(NAME)) == fetched and weights_at_hand(NAME)
        assert len(server.asked) == asked
    point(nobody)
    assert weights_at_hand(NAME)
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    assert weights_at_hand(NAME)


def test_the_hubs_file_is_told_by_its_sha256_before_and_after_it_is_fetched_and_offline(point, nobody, monkeypatch):
    content = b"weights"
    expected = hashlib.sha256(content).hexdigest()
    with serving({REPOSITORY: {"model.safetensors": content}}) as server:
        point(server.url)
        assert cached_digest(NAME) is None and served_digest(NAME) == expected
        path = hf_hub_download(REPOSITORY, "model.safetensors")
        assert cached_digest(NAME) == expected
    point(nobody)
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    assert cached_digest(NAME) == expected and served_digest(NAME) is None
    plain = Path(path)  # a cache without links, as on Windows
    plain.unlink()
    plain.write_bytes(content + b" of another kind")
    assert cached_digest(NAME) == hashlib.sha256(content + b" of another kind").hexdigest()


def test_offline_nobody_is_asked(point, monkeypatch):
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    with serving({REPOSITORY: {"model.safetensors": b"weights"}}) as server:
        point(server.url)
        assert not weights_at_hand(NAME) and not server.asked


@pytest.mark.parametrize("proxy", [None, "closed", "nonsense"])
def test_a_refused_connection_a_closed_proxy_and_a_proxy_that_is_none_are_a_quick_and_silent_no(
    point, nobody, monkeypatch, capfd, proxy
):
    with serving({REPOSITORY: {"model.safetensors": b"weights"}}) as server:
        point(server.url if proxy else nobody)
        if proxy:
            monkeypatch.setenv("HTTP_PROXY", nobody if proxy == "closed" else "telegraph://127.0.0.1")
        start = time.monotonic()
        assert not weights_at_hand(NAME)
        assert time.monotonic() - start < PATIENCE / 2
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("answer", [b"", b"smtp ready\r\n", b"HTTP/1.0 503 Busy\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n"])
def test_a_server_that_is_no_hub_or_not_well_is_a_no(point, answer):
    """The last is the login page that some networks answer every address with."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        point(f"http://127.0.0.1:{listener.getsockname()[1]}")
        assert not weights_at_hand(NAME)


def test_a_silent_hub_costs_no_more_than_the_patience_given(point):
    with socket.create_server(("127.0.0.1", 0)) as listener:  # connections are taken, and never answered
        point(f"http://127.0.0.1:{listener.getsockname()[1]}")
        start = time.monotonic()
        assert not weights_at_hand(NAME, patience=1)
        assert time.monotonic() - start < 2


@pytest.mark.parametrize("trouble", ["breaks off", "is refused"])
def test_what_a_download_fails_with_is_a_network_error(point, nobody, monkeypatch, trouble):
    monkeypatch.setattr(
        time, "sleep", lambda seconds: None
    )  # the hub's client waits half a minute between its attempts
    with serving({REPOSITORY: {"model.safetensors": bytes(1000)}}, break_after=100) as server:
        point(server.url if trouble == "breaks off" else nobody)
        with pytest.raises(NETWORK_ERRORS):
            timm.create_model(NAME, pretrained=True)
    assert cached_weights(NAME) is None


def test_a_backbone_without_weights_and_a_name_that_is_none_are_a_no(point, nobody):
    point(nobody)
    assert not timm.get_pretrained_cfg("test_mambaout").has_weights
    for name in ("test_mambaout", "no_such_backbone"):
        assert not weights_at_hand(name) and cached_weights(name) is None


def test_weights_that_torch_keeps_for_timm_are_found_in_its_cache(point, tmp_path):
    url = timm.get_pretrained_cfg("gcvit_tiny.in1k").url
    assert cached_weights("gcvit_tiny.in1k") is None
    path = tmp_path / "torch" / "hub" / "checkpoints" / url.rpartition("/")[2]
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights")
    assert cached_weights("gcvit_tiny.in1k") == path and weights_at_hand("gcvit_tiny.in1k")
