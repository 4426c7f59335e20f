"""Leftovers of workers that were killed with their run, and of nothing else, are removed."""

from __future__ import annotations

from pathlib import Path

from srbench.results.store import RunStore


def test_leftovers_in_every_folder_of_a_run_are_removed_and_nothing_else(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    for folder in (store.path, store.cells_path, store.path / "models" / "edsr_tiny-x2"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".tmp-checkpoint.pt").write_bytes(b"half")
        (folder / ".tmp-cell").mkdir()
        (folder / "kept").write_bytes(b"whole")
    store.sweep()
    store.sweep_trainings()
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.name != "kept")
    assert left == ["cells", "models", "models/edsr_tiny-x2"]
    assert len(list(tmp_path.rglob("kept"))) == 3
