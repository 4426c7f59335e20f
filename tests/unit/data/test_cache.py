"""The cache: content, downloads from a real local server, damage, a full disk."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import http.server
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from srbench.cache import Cache, default_root
from srbench.data.catalogue import add_paths
from srbench.data.folders import FolderDataset
from srbench.data.manifests import ManifestDataset
from srbench.download import _by_hand
from srbench.errors import DataError, NetworkError
from srbench.images.files import pixels_sha256, write_png
from srbench.protocols import Protocol, get_protocol
from srbench.untrusted import IMAGE_LIMIT

Image = npt.NDArray[np.uint8]
MATLAB = get_protocol("matlab-y")


def test_a_missing_file_names_what_to_download_by_hand() -> None:
    commit = "8f6dd8c1d20cb7e8792a7177b4f6fd677633f598"
    url = f"https://raw.githubusercontent.com/jbhuang0604/SelfExSR/{commit}/data/Set5/image_SRF_2/img_001_SRF_2_HR.png"
    assert _by_hand(url) == (
        f"download it by hand from {url}, or with its whole repository from "
        f"https://github.com/jbhuang0604/SelfExSR/archive/{commit}.zip, then run: srbench cache add PATH... "
        "(copies of an image with the same pixels are accepted)"
    )
    elsewhere = _by_hand("https://example.org/w.pth")
    assert elsewhere == "download it by hand from https://example.org/w.pth, then run: srbench cache add PATH..."


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Serve a folder over HTTP on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    folder = tmp_path / "served"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, daemon=True)
        thread.start()
        yield folder, f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def files_under(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def test_a_file_is_found_by_its_content(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    digest = cache.keep(b"weights")
    assert digest == sha256(b"weights")
    assert cache.has(digest)
    assert cache.path_for(digest).read_bytes() == b"weights"
    assert not cache.has(sha256(b"other"))


def test_the_environment_moves_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRBENCH_CACHE", str(tmp_path))
    assert Cache().root == default_root() == tmp_path


def test_a_download_is_kept_and_not_repeated(tmp_path: Path, server: tuple[Path, str]) -> None:
    folder, url = server
    (folder / "w.pth").write_bytes(b"weights")
    cache = Cache(tmp_path / "cache")
    path = cache.fetch(f"{url}/w.pth", sha256(b"weights"), "w.pth", 7)
    assert path.read_bytes() == b"weights"
    (folder / "w.pth").unlink()
    assert cache.fetch(f"{url}/w.pth", sha256(b"weights"), "w.pth", 7) == path
    assert files_under(tmp_path / "cache") == [path]


def test_a_damaged_file_is_downloaded_again(tmp_path: Path, server: tuple[Path, str]) -> None:
    folder, url = server
    (folder / "w.pth").write_bytes(b"weights")
    cache = Cache(tmp_path / "cache")
    path = cache.fetch(f"{url}/w.pth", sha256(b"weights"), "w.pth")
    path.write_bytes(b"weightz")
    assert cache.fetch(f"{url}/w.pth", sha256(b"weights"), "w.pth").read_bytes() == b"weights"


def assert_says_what_to_do(error: NetworkError, digest: str, url: str) -> None:
    for part in ("'drrn.pth'", digest, url, "srbench cache add PATH"):
        assert part in str(error)
    assert "\n" not in str(error)


def test_another_file_than_expected_is_thrown_away(tmp_path: Path, server: tuple[Path, str]) -> None:
    folder, url = server
    (folder / "w.pth").write_bytes(b"something else")
    with pytest.raises(NetworkError, match="another hash") as caught:
        Cache(tmp_path / "cache").fetch(f"{url}/w.pth", sha256(b"weights"), "drrn.pth")
    assert_says_what_to_do(caught.value, sha256(b"weights"), f"{url}/w.pth")
    assert files_under(tmp_path / "cache") == []


@pytest.fixture
def endless() -> Iterator[str]:
    """Serve bytes without end, at `/fast` as fast as they are taken, at `/drip` one every 50 ms."""

    class Endless(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(b"x" if self.path == "/drip" else b"x" * 4096)
                    time.sleep(0.05 if self.path == "/drip" else 0)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endless) as httpd:
        httpd.daemon_threads = True
        httpd.block_on_close = False
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


def test_a_download_larger_than_the_file_is_ended(tmp_path: Path, endless: str) -> None:
    with pytest.raises(NetworkError, match="sent more than 7 bytes") as caught:
        Cache(tmp_path / "cache").fetch(f"{endless}/fast", sha256(b"weights"), "drrn.pth", 7)
    assert_says_what_to_do(caught.value, sha256(b"weights"), f"{endless}/fast")
    assert files_under(tmp_path / "cache") == []


def test_a_download_that_drips_is_ended(tmp_path: Path, endless: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("srbench.download._TIMEOUT_S", 1)
    monkeypatch.setattr("srbench.download._CHUNK", 1)
    with pytest.raises(NetworkError, match="too slow"):
        Cache(tmp_path / "cache").fetch(f"{endless}/drip", sha256(b"weights"), "drrn.pth", 1000)
    assert files_under(tmp_path / "cache") == []


def test_the_next_place_is_tried_and_each_reason_told(tmp_path: Path, server: tuple[Path, str], endless: str) -> None:
    folder, url = server
    (folder / "w.pth").write_bytes(b"weights")
    cache = Cache(tmp_path / "cache")
    places = [f"{url}/gone.pth", f"{endless}/fast", f"{url}/w.pth"]
    with pytest.raises(NetworkError, match=r"gone\.pth: the server answered 404; .*/fast: the server sent more than"):
        cache.fetch(places[:2], sha256(b"weights"), "drrn.pth", 7)
    assert cache.fetch(places, sha256(b"weights"), "drrn.pth", 7).read_bytes() == b"weights"


def test_a_file_that_is_gone_says_so(tmp_path: Path, server: tuple[Path, str]) -> None:
    with pytest.raises(NetworkError, match="answered 404") as caught:
        Cache(tmp_path / "cache").fetch(f"{server[1]}/gone", sha256(b"weights"), "drrn.pth")
    assert_says_what_to_do(caught.value, sha256(b"weights"), f"{server[1]}/gone")


def test_no_network_says_how_to_do_without(tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound but not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        url = f"http://127.0.0.1:{port}/w.pth"
        with pytest.raises(NetworkError, match="no connection") as caught:
            Cache(tmp_path / "cache").fetch(url, sha256(b"weights"), "drrn.pth", 7)
    assert_says_what_to_do(caught.value, sha256(b"weights"), url)
    assert files_under(tmp_path / "cache") == []


def test_an_lr_image_is_made_once_and_read_after(hr_folder: Path, empty_cache: Path) -> None:
    dataset = FolderDataset(hr_folder)
    lr = dataset.lr("a", 2, MATLAB)
    (path,) = files_under(empty_cache)
    written = path.stat().st_mtime_ns
    assert np.array_equal(dataset.lr("a", 2, MATLAB), lr)
    assert path.stat().st_mtime_ns == written
    assert np.array_equal(lr, MATLAB.lr_image(dataset.hr("a"), 2))


def test_lr_images_of_other_scales_and_kernels_are_apart(hr_folder: Path, empty_cache: Path) -> None:
    dataset = FolderDataset(hr_folder)
    dataset.lr("a", 2, MATLAB)
    dataset.lr("a", 2, get_protocol("truncate-y"))  # the same LR image: only the SR image is treated otherwise
    assert len(files_under(empty_cache)) == 1
    dataset.lr("a", 3, MATLAB)
    dataset.lr("a", 2, Protocol("once", lr_rounding="once"))
    dataset.lr("b", 2, MATLAB)
    assert len(files_under(empty_cache)) == 4


@pytest.mark.parametrize("damage", ["cut", "foreign", "text"])
def test_a_damaged_lr_image_is_made_again(
    hr_folder: Path, empty_cache: Path, make_image: Callable[..., Image], damage: str
) -> None:
    dataset = FolderDataset(hr_folder)
    lr = dataset.lr("a", 2, MATLAB)
    (path,) = files_under(empty_cache)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-40])
    elif damage == "foreign":
        write_png(make_image(12, 18), path)
    else:
        path.write_text("nothing")
    assert np.array_equal(dataset.lr("a", 2, MATLAB), lr)
    assert np.array_equal(dataset.lr("a", 2, MATLAB), lr)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nothing"))


def _large(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(IMAGE_LIMIT + 1)  # a hole, which takes no space


def _bomb(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[16:24] = struct.pack(">II", 60_000, 60_000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [_pipe, _dangling, _large, _bomb])
def test_an_lr_image_that_may_not_be_read_is_made_again(
    hr_folder: Path, empty_cache: Path, damage: Callable[[Path], None]
) -> None:
    dataset = FolderDataset(hr_folder)
    lr = dataset.lr("a", 2, MATLAB)
    (path,) = files_under(empty_cache)
    sound = path.read_bytes()
    damage(path)
    assert np.array_equal(dataset.lr("a", 2, MATLAB), lr)
    assert path.read_bytes() == sound


def manifest_of(folder: Path, base: str) -> dict[str, object]:
    dataset = FolderDataset(folder)
    entries = []
    for image in dataset.image_names():
        content = (folder / f"{image}.png").read_bytes()
        hr = dataset.hr(image)
        entries.append(
            {
                "image": image,
                "path": f"{image}.png",
                "sha256": sha256(content),
                "bytes": len(content),
                "width": hr.shape[1],
                "height": hr.shape[0],
                "pixels_sha256": pixels_sha256(hr),
            }
        )
    return {"repository": "nobody/nothing", "commit": base, "files": entries}


def test_a_set_is_downloaded_by_its_manifest(
    empty_cache: Path, server: tuple[Path, str], make_image: Callable[..., Image]
) -> None:
    folder, url = server
    images = {name: make_image() for name in ("one", "two")}
    for name, image in images.items():
        write_png(image, folder / f"{name}.png")
    dataset = ManifestDataset("Tiny", manifest_of(folder, "main"))
    dataset.files = {name: file._replace(url=f"{url}/{name}.png") for name, file in dataset.files.items()}
    assert dataset.missing() == ["one", "two"]
    assert np.array_equal(dataset.hr("one"), images["one"])
    assert dataset.missing() == ["two"]
    (folder / "one.png").unlink()
    assert np.array_equal(dataset.hr("one"), images["one"])


def test_a_set_added_in_another_encoding_needs_no_network(shared: Path, empty_cache: Path, tmp_path: Path) -> None:
    from srbench.data.manifests import set5

    dataset = set5()
    folder = FolderDataset(shared / "data" / "benchmark" / "Set5")
    for image in folder.image_names():  # encoded anew: other files, the same pixels
        write_png(folder.hr(image), tmp_path / "mine" / f"{image}-copy.png")
    assert dataset.missing() == ["baby", "bird", "butterfly", "head", "woman"]
    report = add_paths([tmp_path / "mine"], Cache())
    assert sorted(what for _, what in report.added) == [f"Set5/{image}" for image in dataset.image_names()]
    assert dataset.missing() == []
    assert all(np.array_equal(dataset.hr(image), folder.hr(image)) for image in dataset.image_names())
    assert dataset.content_hash() == folder.content_hash()


def test_the_shared_sets_are_the_manifests_own(shared: Path, empty_cache: Path) -> None:
    report = add_paths([shared / "data" / "benchmark" / name / "HR" for name in ("Set5", "Set14")], Cache())
    assert len(report.added) == 19
    assert report.skipped == []


def test_a_damaged_image_in_the_cache_is_not_used(shared: Path, empty_cache: Path) -> None:
    from srbench.data.manifests import set5

    add_paths([shared / "data" / "benchmark" / "Set5" / "HR" / "bird.png"], Cache())
    (path,) = files_under(empty_cache / "objects")
    write_png(np.zeros((288, 288, 3), np.uint8), path)
    dataset = set5()
    broken = dataset.files["bird"]._replace(url="http://127.0.0.1:9/bird.png")  # the discard port: nothing listens
    dataset.files["bird"] = broken
    with pytest.raises(NetworkError, match="Set5/bird"):
        dataset.hr("bird")
    assert not path.exists()


def test_unknown_and_damaged_files_are_left_out_with_a_reason(
    tmp_path: Path, empty_cache: Path, make_image: Callable[..., Image]
) -> None:
    write_png(make_image(), tmp_path / "in" / "holiday.png")
    (tmp_path / "in" / "broken.png").write_bytes(b"\x89PNG")
    (tmp_path / "in" / "notes.txt").write_text("notes")
    report = add_paths([tmp_path / "in"], Cache())
    assert report.added == []
    reasons = {path.name: why for path, why in report.skipped}
    assert "damaged" in reasons["broken.png"]
    assert reasons["holiday.png"] == reasons["notes.txt"] == "is not known to any data set, tag or metric"
    assert files_under(empty_cache) == []


def test_a_path_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere"):
        add_paths([tmp_path / "nowhere"], Cache())


def test_manifests_name_as_many_images_as_the_papers() -> None:
    from srbench.registry import get_dataset

    counts = {name: len(get_dataset(name).image_names()) for name in ("Set5", "Set14", "BSD100", "Urban100")}
    assert counts == {"Set5": 5, "Set14": 14, "BSD100": 100, "Urban100": 100}


def test_a_full_disk_is_a_sentence_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    # A limit on file size stands for the full disk: the kernel refuses the write in the same place.
    resource = pytest.importorskip("resource", reason="Windows has no limit on file size")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    program = (
        "import os, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from srbench.cache import Cache\nfrom srbench.errors import StoreError\n"
        "try:\n    Cache().keep(os.urandom(200_000))\n"
        "except StoreError as error:\n    print(error)\n    sys.exit(2)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "SRBENCH_CACHE": str(tmp_path / "cache")},
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "could not be written" in done.stdout
    assert files_under(tmp_path / "cache") == []
