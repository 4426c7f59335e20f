"""Tables of published figures in a plugin's package: found by the weights' entry point, and a wrong one is named."""

from __future__ import annotations

import json
from typing import Any

Site = Any  # the class of the fixture `site`, in conftest.py

WEIGHTS = """
    from srbench.plugin import WeightSource
    tiny = WeightSource(
        model="edsr_tiny.mine", repository="me/mine", commit="0" * 40, path="tiny.pth", sha256="1" * 64, size=10,
        licence="MIT", paper="Me, 2026", scales=(2,),
    )
"""
FIGURES = "paper,table,row,model,scale,dataset,protocol,psnr\nMe,Table 1,Tiny,edsr_tiny.mine,2,Set5,luma,{psnr}\n"
TRAINING = "model,data,iterations,source\nedsr_tiny.mine,DF2K,1000,README\n"


def add(site: Site, psnr: str) -> None:
    """Install a distribution whose package `mine` has weights and both tables."""
    (site.path / "mine").mkdir()
    modules = {"mine/__init__": "", "mine/weights": WEIGHTS}
    site.add("mine-dist", {"weights": {"edsr_tiny.mine": "mine.weights:tiny"}}, modules)
    (site.path / "mine" / "published.csv").write_text(FIGURES.format(psnr=psnr))
    (site.path / "mine" / "training.csv").write_text(TRAINING)


def test_tables_beside_the_weights_are_read(site: Site) -> None:
    add(site, "35.00")
    listed = site.srbench("list", "weights", "edsr_tiny*", "--json", "-")
    assert listed.returncode == 0, listed.stderr
    (row,) = json.loads(listed.stdout)["weights"]
    assert (row["model"], row["trained_on"]) == ("edsr_tiny.mine", "DF2K")
    assert [figure["psnr"] for figure in row["published"]] == ["35.00"]


def test_a_wrong_table_is_named_and_keeps_no_page_from_being_made(site: Site) -> None:
    add(site, "good")
    listed = site.srbench("list", "weights")
    assert listed.returncode == 2
    assert "mine-dist 1.0" in listed.stderr
    assert "mine/published.csv, line 2: column 'psnr' holds 'good'" in listed.stderr
    assert "Traceback" not in listed.stderr
    code = (
        "from srbench.runs.installed_figures import installed_published as found; "
        "print(sum(f.model == 'edsr_tiny.mine' for f in found().figures)); "
        "print(found().training_of('edsr_tiny.mine', 2).data)"
    )
    assert site.python(code).stdout.split() == ["0", "DF2K"]
