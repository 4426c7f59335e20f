from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from srbench.errors import StoreError
from srbench.leaderboard import build, publish, ranking, show
from srbench.results.replays import Replay, add_replays, stored_sha256
from srbench.results.store import RunStore

AddCell = Callable[..., Path]
FILES = ["index.html", "leaderboard.csv", "leaderboard.md"]
EVIL = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Collects what a browser would see: tags, addresses, texts outside of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.open: list[str] = []
        self.unbalanced: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action", "poster")]
        if tag not in ("meta", "img", "br", "wbr", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)


@pytest.fixture
def crops() -> dict[str, np.ndarray]:
    ramp = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)
    return {"im000.hr.png": ramp, "im000.sr.png": ramp[::-1]}


def snapshot(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


class TestFiles:
    def test_three_files_and_nothing_else(self, demo: RunStore, tmp_path: Path) -> None:
        paths = build(demo.path, tmp_path / "site")
        assert sorted(path.name for path in paths) == FILES
        assert sorted(path.name for path in (tmp_path / "site").iterdir()) == FILES

    def test_same_results_give_the_same_bytes(self, demo: RunStore, tmp_path: Path) -> None:
        build(demo.path, tmp_path / "one")
        shutil.copytree(demo.path, tmp_path / "elsewhere")
        build(tmp_path / "elsewhere", tmp_path / "two")
        assert snapshot(tmp_path / "one") == snapshot(tmp_path / "two")

    def test_same_results_give_the_same_bytes_in_another_process(self, demo: RunStore, tmp_path: Path) -> None:
        build(demo.path, tmp_path / "one")
        code = "import sys; from srbench.leaderboard import build; build(sys.argv[1], sys.argv[2])"
        for hash_seed in ("1", "2"):
            subprocess.run(
                [sys.executable, "-c", code, str(demo.path), str(tmp_path / "two")],
                check=True,
                env={"PYTHONHASHSEED": hash_seed, "PATH": ""},
            )
            assert snapshot(tmp_path / "one") == snapshot(tmp_path / "two")

    def test_leaderboard_imports_no_torch(self, demo: RunStore, tmp_path: Path) -> None:
        code = (
            "import sys; from srbench import leaderboard as l; l.build(sys.argv[1], sys.argv[2]); l.show(sys.argv[1]);"
            "sys.exit(any(name in sys.modules for name in ('torch', 'basicsr', 'torchvision')))"
        )
        subprocess.run([sys.executable, "-c", code, str(demo.path), str(tmp_path / "out")], check=True)

    def test_nothing_is_written_if_one_file_cannot_be(self, demo: RunStore, tmp_path: Path) -> None:
        out = tmp_path / "site"
        build(demo.path, out)
        before = snapshot(out)
        # A limit on a file's size stands in for a full disk: the page is larger than it, the tables are not.
        code = (
            "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192));"
            "from srbench.cli import main; main(['leaderboard', 'build', sys.argv[1], '--out', sys.argv[2]])"
        )
        directory = next(cell.directory for cell in demo.cells() if cell.record.model == "net+c")
        shutil.rmtree(directory)
        done = subprocess.run(
            [sys.executable, "-c", code, str(demo.path), str(out)], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("srbench: ")
        assert "could not be written" in done.stderr
        assert snapshot(out) == before

    def test_an_output_place_that_is_a_file_is_a_sentence(self, demo: RunStore, tmp_path: Path) -> None:
        (tmp_path / "site").write_text("mine")
        with pytest.raises(StoreError, match="could not be written"):
            build(demo.path, tmp_path / "site")
        assert (tmp_path / "site").read_text() == "mine"


class TestTables:
    def test_csv_has_every_cell_with_its_figures(self, demo: RunStore, add_cell: AddCell, tmp_path: Path) -> None:
        add_cell(demo, "net+bad", None, error='ValueError: broken, "badly"\nmore')
        build(demo.path, tmp_path)
        rows = list(csv.DictReader(io.StringIO((tmp_path / "leaderboard.csv").read_text())))
        assert [(row["model"], row["status"], row["rank"], row["rank_best"], row["rank_worst"]) for row in rows] == [
            ("net+a", "ok", "1", "1", "2"),
            ("net+b", "ok", "2", "1", "2"),
            ("net+c", "ok", "3", "3", "3"),
            ("bicubic", "ok", "", "", ""),
            ("net+bad", "failed", "", "", ""),
        ]
        assert rows[1]["psnr_y"] == "28.1875"
        assert rows[1]["psnr_y_to_best"] == "-0.0625"
        assert float(rows[1]["psnr_y_to_best_low"]) < -0.0625 < 0 < float(rows[1]["psnr_y_to_best_high"])
        assert rows[1]["params_unique"] == "2000"
        assert rows[0]["tier"] == "trained"
        assert rows[3]["tier"] == "baseline"
        assert rows[4]["error"] == 'ValueError: broken, "badly"'

    def test_markdown_cells_cannot_break_the_table(self, demo: RunStore, add_cell: AddCell, tmp_path: Path) -> None:
        add_cell(demo, f"a|b{EVIL}`\n# x", [1.0] * 8, backbone=f"a|b{EVIL}`\n# x", method=None)
        build(demo.path, tmp_path)
        text = (tmp_path / "leaderboard.md").read_text()
        assert EVIL not in text
        [line] = [line for line in text.splitlines() if "alert" in line]
        assert len(re.findall(r"(?<!\\)\|", line)) == len(re.findall(r"\|", text.splitlines()[6]))

    def test_tables_and_page_say_who_measured_a_row_again(self, demo: RunStore, tmp_path: Path) -> None:
        cells = {cell.record.model: cell for cell in demo.cells()}
        replayed = {
            "cell": cells["net+a"].record.key, "stored_sha256": stored_sha256(cells["net+a"]), "outcome": "equal",
            "by": "CI (job 7)", "commit": "0123456789abcdef", "date": "2026-11-27T10:00:00+00:00", "platform": "Linux",
        }  # fmt: skip
        other = cells["net+b"]
        differs = {**replayed, "cell": other.record.key, "stored_sha256": stored_sha256(other), "outcome": "differs"}
        forged = {**replayed, "cell": cells["net+c"].record.key, "stored_sha256": "0" * 64}
        add_replays(demo.path, [Replay(**values) for values in (replayed, differs, forged)])
        publish.build(demo.path, tmp_path / "out")
        table = pd.read_csv(tmp_path / "out" / "leaderboard.csv").set_index("model")
        assert table["state"].to_dict() == {
            "net+a": "replayed here", "net+b": "replay differs", "net+c": "submitted", "bicubic": "submitted"
        }  # fmt: skip
        row = table.loc["net+a", ["replay_outcome", "replayed_by", "replayed_on", "replay_platform", "replay_commit"]]
        assert list(row) == ["equal", "CI (job 7)", "2026-11-27T10:00:00+00:00", "Linux", "0123456789abcdef"]
        assert table.loc["net+c", ["replay_outcome", "replayed_by"]].isna().all()
        markdown = (tmp_path / "out" / "leaderboard.md").read_text()
        lines = [line for line in markdown.splitlines() if line.startswith("|")]
        assert [line.split(" | ")[-1] for line in lines if line.startswith(("| 1", "| 2", "| 3", "| –"))] == [
            "replayed here |", "replay differs |", "submitted |", "submitted |"
        ]  # fmt: skip
        said = "equal, CI (job 7), 2026-11-27, Linux, commit 0123456789"
        assert f"Replayed here: {said} (net+a)." in markdown
        assert f"replayed here: {said}</span>" in (tmp_path / "out" / "index.html").read_text()
        assert list(ranking(demo.path)["state"])[:2] == ["replayed here", "replay differs"]

    def test_ranking_agrees_with_the_page_and_json(self, demo: RunStore) -> None:
        table = ranking(demo.path)
        assert table["rank"].tolist()[:3] == [1, 2, 3]
        assert {"mean", "to_best", "psnr_y@A", "ssim_y@A", "params_unique"} <= set(table.columns)


class TestPage:
    def test_page_needs_no_network(self, demo: RunStore, add_cell: AddCell, crops: dict, tmp_path: Path) -> None:
        add_cell(demo, "net+d", [30.0] * 8, crops=crops, redistributable=True, licence="CC0")
        build(demo.path, tmp_path)
        text = (tmp_path / "index.html").read_text()
        page = Page(text)
        assert page.addresses
        assert all(address.startswith(("data:image/png;base64,", "#")) for address in page.addresses)
        assert not re.search(r"url\(|@import|https?:", text)
        assert "link" not in page.tags

    def test_page_is_balanced_html(self, demo: RunStore, add_cell: AddCell, crops: dict, tmp_path: Path) -> None:
        add_cell(demo, "net+d", [30.0] * 8, crops=crops, redistributable=True)
        add_cell(demo, "net+bad", None, error="ValueError: <b>")
        build(demo.path, tmp_path)
        page = Page((tmp_path / "index.html").read_text())
        assert (page.open, page.unbalanced) == ([], [])
        assert page.tags.count("script") == 1

    @pytest.mark.parametrize("where", ["model", "error", "image", "dataset", "protocol", "title", "licence", "check"])
    def test_foreign_text_is_escaped(
        self, where: str, make_store: Callable[..., RunStore], add_cell: AddCell, crops: dict, tmp_path: Path
    ) -> None:
        store = make_store(title=EVIL if where == "title" else "fine", description=EVIL)
        evil = f"{EVIL}\"'>"
        if where == "error":
            add_cell(store, "net", None, error=f"ValueError: {evil}")
        changes: dict = {"crops": crops, "redistributable": True}
        if where == "image":
            changes["names"] = ["im000", evil]
        if where in ("dataset", "protocol", "licence"):
            changes[where] = evil
        if where == "check":
            changes["checks"] = {evil: f"failed: {evil}"}
        add_cell(store, evil if where == "model" else "other", [30.0, 31.0], **changes)
        build(store.path, tmp_path / "site")
        text = (tmp_path / "site" / "index.html").read_text()
        assert EVIL not in text
        assert "&lt;script&gt;alert(1)" in text
        page = Page(text)
        assert (page.tags.count("script"), page.unbalanced) == (1, [])

    def test_browser_runs_our_script_only(self, demo: RunStore, tmp_path: Path) -> None:
        build(demo.path, tmp_path)
        text = (tmp_path / "index.html").read_text()
        [script] = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"script-src &#39;sha256-{digest}&#39;" in text or f"script-src 'sha256-{digest}'" in text

    def test_failed_cell_is_on_the_page(self, demo: RunStore, add_cell: AddCell, tmp_path: Path) -> None:
        add_cell(demo, "net+bad", None, error="Traceback (most recent call last):\n  x\nOSError: gone")
        build(demo.path, tmp_path)
        text = (tmp_path / "index.html").read_text()
        assert "Not measured" in text
        assert "OSError: gone" in text
        assert "net+<wbr>bad" in text

    def test_only_freely_licensed_crops_are_shown(
        self, demo: RunStore, add_cell: AddCell, crops: dict, tmp_path: Path
    ) -> None:
        add_cell(demo, "net+d", [30.0] * 8, crops=crops, redistributable=False)
        build(demo.path, tmp_path / "closed")
        assert "data:image" not in (tmp_path / "closed" / "index.html").read_text()
        add_cell(demo, "net+d", [30.0] * 8, crops=crops, redistributable=True, key="d" * 64)
        build(demo.path, tmp_path / "open")
        # HR and SR.
        assert (tmp_path / "open" / "index.html").read_text().count("data:image/png") == 2

    def test_crop_outside_the_cell_is_not_read(
        self, demo: RunStore, add_cell: AddCell, crops: dict, tmp_path: Path
    ) -> None:
        directory = add_cell(demo, "net+d", [30.0] * 8, crops=crops, redistributable=True)
        secret = tmp_path / "secret.sr.png"
        shutil.copy(directory / "images" / "im000.sr.png", secret)
        (directory / "images" / "im000.sr.png").unlink()
        (directory / "images" / "im000.sr.png").symlink_to(secret)
        build(demo.path, tmp_path / "site")
        assert "data:image" not in (tmp_path / "site" / "index.html").read_text()

    def test_few_images_are_said_to_be_few(self, make_store: Callable[..., RunStore], add_cell: AddCell) -> None:
        few, many = make_store("few"), make_store("many")
        for store, count in ((few, 5), (many, 6)):
            add_cell(store, "net", list(np.arange(count) + 20.0))
        assert "fewer than 6 images" in publish.build(few.path, write=False).files["index.html"].decode()
        assert "fewer than 6 images" not in publish.build(many.path, write=False).files["index.html"].decode()

    def test_protocol_explains_itself(self, make_store: Callable[..., RunStore], add_cell: AddCell) -> None:
        store = make_store(explanations={"e" * 64: "luma, cropped by the scale"})
        add_cell(store, "net", [1.0, 2.0], protocol_digest="e" * 64)
        assert b"luma, cropped by the scale" in publish.build(store.path, write=False).files["index.html"]


class TestCommand:
    @staticmethod
    def srbench(*words: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from srbench.cli import main; main()", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def test_check_tells_current_from_outdated(self, demo: RunStore, add_cell: AddCell, tmp_path: Path) -> None:
        out = tmp_path / "site"
        first = self.srbench("leaderboard", "build", demo.path, "--out", out, "--check")
        assert (first.returncode, out.exists()) == (1, False)
        assert "not up to date" in first.stderr
        assert self.srbench("leaderboard", "build", demo.path, "--out", out).returncode == 0
        assert self.srbench("leaderboard", "build", demo.path, "--out", out, "--check").returncode == 0
        before = snapshot(out)
        add_cell(demo, "net+new", [50.0] * 8)
        assert self.srbench("leaderboard", "build", demo.path, "--out", out, "--check").returncode == 1
        assert snapshot(out) == before

    @pytest.mark.parametrize("command", ["build", "show"])
    def test_missing_run_is_one_sentence_and_status_2(self, command: str, tmp_path: Path) -> None:
        done = self.srbench("leaderboard", command, tmp_path / "nowhere")
        assert done.returncode == 2
        assert done.stderr.startswith("srbench: there is no run in")
        assert done.stderr.count("\n") == 1
        assert list(tmp_path.iterdir()) == []

    def test_json_is_the_ranking(self, demo: RunStore) -> None:
        done = self.srbench("leaderboard", "show", demo.path, "--json", "-")
        value = json.loads(done.stdout)
        assert value["schema_version"] == 1
        assert [(row["model"], row["rank"], row["rank_best"], row["rank_worst"]) for row in value["rows"]] == [
            ("net+a", 1, 1, 2),
            ("net+b", 2, 1, 2),
            ("net+c", 3, 3, 3),
            ("bicubic", None, None, None),
        ]

    def test_index_links_every_suite(self, demo: RunStore, tmp_path: Path) -> None:
        root = tmp_path / "boards"
        for name in ("one", "two"):
            shutil.copytree(demo.path, root / name / "results")
        (root / "three" / "results").mkdir(parents=True)
        done = self.srbench("leaderboard", "index", root)
        assert done.returncode == 0
        page = Page((root / "index.html").read_text())
        assert page.addresses == ["one/index.html", "three/index.html", "two/index.html"]
        assert str(tmp_path) not in (root / "index.html").read_text()
        assert self.srbench("leaderboard", "index", root, "--check").returncode == 0

    def test_index_and_page_name_all_that_may_be_the_best(
        self, make_store: Callable[..., RunStore], add_cell: AddCell, tmp_path: Path
    ) -> None:
        """They need no script: the names beyond the first six are in a `details` element."""
        store = make_store()
        names = [f"tied{index}" for index in range(9)]
        for name in names:
            add_cell(store, name, [30.0, 31.0, 32.0, 33.0])
        shutil.copytree(store.path, tmp_path / "boards" / "demo" / "results")
        publish.build_index(tmp_path / "boards")
        publish.build(store.path, tmp_path / "page")
        for folder in ("boards", "page"):
            text = (tmp_path / folder / "index.html").read_text()
            start = text.index("<details><summary>", text.index("and 3 more"))
            hidden = text[start : text.index("</details>", start)]
            assert "the 3 more</summary>" in hidden
            assert [name for name in names if f"<b>{name}</b>" in hidden] == names[6:]
            shown = text[text.index("<main>") : start]
            assert all(f"<b>{name}</b>" in shown for name in names[:6])

    def test_show_prints_names_as_they_are(self, demo: RunStore, add_cell: AddCell) -> None:
        add_cell(demo, "net+[red]x[/red]", [1.0] * 8, method="[red]x[/red]")
        stream = io.StringIO()
        show(demo.path, Console(file=stream, width=120))
        assert "net+[red]x[/red]" in stream.getvalue()

    def test_single_image_is_shown_without_an_interval(
        self, make_store: Callable[..., RunStore], add_cell: AddCell
    ) -> None:
        store = make_store()
        add_cell(store, "net+a", [30.0])
        add_cell(store, "net+b", [29.0])
        stream = io.StringIO()
        show(store.path, Console(file=stream, width=120))
        lines = [line.split() for line in stream.getvalue().splitlines() if "net+" in line]
        assert [(*line[:3], line[-1]) for line in lines] == [
            ("1", "1–2", "net+a", "first"),
            ("2", "1–2", "net+b", "-1.000"),
        ]
        assert "These images cannot distinguish any two of the models." in stream.getvalue()
        text = publish.build(store.path, write=False).files["index.html"].decode()
        assert "nan" not in text.lower()
