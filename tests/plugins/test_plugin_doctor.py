"""A broken plugin is named by the doctor with its cause, and everything else works as it did."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

Site = Any  # the class of the fixture `site`, in conftest.py

RANGE = "sr-bench>=0.1,<0.2"
METHOD = """
from srbench.plugin import SharingMethod

class Odd(SharingMethod):
    def replace(self, site, module, shared, scales):
        return module
"""
KEEPS_NOTHING = (
    METHOD
    + """
    def __init__(self, *, rank: int = 4) -> None:
        pass
"""
)
KEEPS_FOUR = (
    METHOD
    + """
    def __init__(self, *, rank: int = 4) -> None:
        self.rank = 4
"""
)
NEEDS_ONE = (
    METHOD
    + """
    def __init__(self, *, rank: int) -> None:
        self.rank = rank
"""
)

# case -> group, name, source, requirement, status, what the cause says, what the remedy says
CASES: dict[str, tuple[str, str, str, str, str, str, str]] = {
    "raises": ("methods", "odd", "raise RuntimeError('no luck')", RANGE, "broken", "no luck", "authors"),
    "sleeps": ("methods", "odd", "import time; time.sleep(5)" + METHOD, RANGE, "warning", "s to import", "slow work"),
    "prints": ("methods", "odd", "print('hello there')" + METHOD, RANGE, "warning", "hello there", "logging"),
    "writes": ("methods", "odd", "import os; os.write(1, b'raw')" + METHOD, RANGE, "warning", "raw", "logging"),
    "exits": ("methods", "odd", "raise SystemExit(3)", RANGE, "broken", "ends the program", "authors"),
    "is gone": ("methods", "odd", "import os; os._exit(3)", RANGE, "broken", "with status 3", "authors"),
    "needs": ("methods", "odd", "import nobody_has_it", RANGE, "missing dependency", "nobody_has_it", "reinstall"),
    "future": ("methods", "odd", METHOD, "sr-bench>=9", "incompatible", ">=9", "pip install -U"),
    "no range": ("methods", "odd", METHOD, "", "warning", "does not require sr-bench", "dependencies"),
    "takes ours": ("methods", "dense", METHOD, RANGE, "broken", "taken", "odd-dist:dense"),
    "takes a backbone": ("baselines", "edsr_tiny", "def Odd(scales): pass", RANGE, "broken", "taken", "choose another"),
    "takes a suite": ("suites", "quickstart", "Odd = 3", RANGE, "broken", "taken", "choose another"),
    "takes a command": ("commands", "list", "def Odd(): pass", RANGE, "broken", "hides it", "choose another"),
    "function": ("methods", "odd", "def Odd(): pass", RANGE, "broken", "a function", "authors"),
    "no method": ("methods", "odd", "class Odd:\n    def replace(self): pass", RANGE, "broken", "subclass", "derive"),
    "no replace": (
        "methods", "odd", "from srbench.plugin import SharingMethod\nclass Odd(SharingMethod): pass", RANGE, "broken",
        "has no `replace`", "override",
    ),
    "keeps nothing": ("methods", "odd", KEEPS_NOTHING, RANGE, "broken", "does not store its argument 'rank'", "store"),
    "keeps four": ("methods", "odd", KEEPS_FOUR, RANGE, "broken", "keeps 'rank=4'", "store"),
    "needs one": ("methods", "odd", NEEDS_ONE, RANGE, "warning", "no default", "default"),
    "integer": ("datasets", "odd", "Odd = 3", RANGE, "broken", "an int", "authors"),
    "no data set": ("datasets", "odd", "def Odd(): return 3", RANGE, "broken", "returns an int", "Dataset"),
    "failing data set": ("datasets", "odd", "def Odd(): return 1 / 0", RANGE, "broken", "ZeroDivision", "authors"),
    "no scales": ("backbones", "odd", "def Odd(): pass", RANGE, "broken", "no argument `scales`", "scales"),
    "no metric": ("metrics", "odd", "class Odd: name = 'odd'", RANGE, "broken", "has no `unit`", "give the class"),
    "no protocol": ("protocols", "odd", "Odd = {}", RANGE, "broken", "a dict", "authors"),
    "no command": ("commands", "odd", "Odd = 3", RANGE, "broken", "an int", "function"),
    "cannot be written": ("methods", "odd-one", METHOD, RANGE, "broken", "is not valid in", "a letter, then"),
    "no such group": ("method", "odd", METHOD, RANGE, "broken", "'srbench.method'", "write 'srbench.methods'"),
}  # fmt: skip


def doctor(site: Site, *words: str, **environment: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    result = site.srbench("plugins", "doctor", "odd-dist", *words, "--json", "-", **environment)
    (report,) = json.loads(result.stdout)["plugins"]
    return result, report


@pytest.mark.parametrize("case", CASES)
def test_each_cause_is_named_with_its_remedy(site: Site, case: str) -> None:
    group, name, source, requires, status, cause, remedy = CASES[case]
    site.add("odd-dist", {group: {name: "odd_mod:Odd"}}, {"odd_mod": source}, requires)
    result, report = doctor(site)
    assert report["status"] == status, report
    assert any(cause in f["cause"] and remedy in f["remedy"] for f in report["findings"]), report["findings"]
    assert result.returncode == (0 if status == "warning" else 1)


def test_a_plugin_that_hangs_is_ended_after_the_time_limit(site: Site) -> None:
    site.add("odd-dist", {"methods": {"odd": "odd_mod:Odd"}}, {"odd_mod": "while True: pass"}, RANGE)
    _, report = doctor(site, "--time-limit", "3")
    assert "does not finish within 3 s" in report["detail"]


# What a process does that is forked from one that has imported torch, as several are on Linux.
TOGETHER = {
    "raises": ("raise RuntimeError('no luck')", "no luck"),
    "writes": ("import os; os.write(1, b'raw')" + METHOD, "prints when it is imported: 'raw'"),
    "prints": ("print('hello there')" + METHOD, "prints when it is imported: 'hello there'"),
    "exits": ("raise SystemExit(3)", "ends the program"),
    "gone": ("import os; os._exit(3)", "with status 3"),
    "killed": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "with signal 9"),
    "reads": ("import sys; assert sys.stdin.read() == ''" + METHOD, ""),
    "changes": ("import torch; torch.set_default_dtype(torch.float64)" + METHOD, ""),
    "suffers": ("import torch; assert torch.get_default_dtype() is torch.float32" + METHOD, ""),
}
WINDOWS = sys.platform == "win32"
POSIX_ONLY = {"killed": "SIGKILL", "hides": "os.fork"}
ENDLESS = {
    "hangs": "while True: pass",
    "lingers": "import threading, time; threading.Thread(target=time.sleep, args=(999,)).start()" + METHOD,
    "hides": "import os, time\nif os.fork(): os._exit(0)\ntime.sleep(999)",
}


def here(sources: dict[str, str]) -> dict[str, str]:
    """Return the sources that can be run on this system."""
    return {name: source for name, source in sources.items() if not (WINDOWS and name in POSIX_ONLY)}


def skip_the_rest(sources: dict[str, str]) -> None:
    """Report what this system has no means to run, after all else has passed."""
    if missing := [f"'{name}': Windows has no {POSIX_ONLY[name]}" for name in sources if name not in here(sources)]:
        pytest.skip("; ".join(missing))


def causes_together(site: Site, sources: dict[str, str], *words: str) -> dict[str, list[str]]:
    """Have several distributions looked at; return the causes of each but the time that its import took."""
    for name, source in sources.items():
        site.add(f"{name}-dist", {"methods": {name: f"{name}_mod:Odd"}}, {f"{name}_mod": source}, RANGE)
    result = site.srbench("plugins", "doctor", *(f"{name}-dist" for name in sources), *words, "--json", "-")
    reports = {report["distribution"]: report["findings"] for report in json.loads(result.stdout)["plugins"]}
    return {
        name: [found["cause"] for found in reports[f"{name}-dist"] if "s to import" not in found["cause"]]
        for name in sources
    }


def test_several_that_are_looked_at_together_do_not_disturb_one_another(site: Site) -> None:
    sources = {name: source for name, (source, _) in TOGETHER.items()}
    found = causes_together(site, here(sources))
    for name, causes in found.items():
        cause = TOGETHER[name][1]
        assert [cause in one for one in causes] == ([True] if cause else []), (name, causes)
    skip_the_rest(sources)


def test_several_that_do_not_end_are_ended(site: Site) -> None:
    found = causes_together(site, here(ENDLESS), "--time-limit", "4")
    for name in ("hangs", "lingers"):
        assert len(found[name]) == 1, found
        assert "it does not finish within 4 s" in found[name][0]
    if "hides" in found:
        assert len(found["hides"]) == 1
    skip_the_rest(ENDLESS)


@pytest.fixture
def bad_site(site: Site) -> Site:
    """A folder with plugins that fail in eight ways, each with a method and a data set, and two that claim a name."""
    sources = {
        "raises": "raise RuntimeError",
        "sleeps": "import time; time.sleep(5)",
        "prints": "import os; print('NOISE'); os.write(1, b'NOISE')",
        "exits": "raise SystemExit",
        "needs": "import nobody_has_it",
        "future": METHOD,
        "typed": "Odd = 3",
        "taken": METHOD,
    }
    for name, source in sources.items():
        entry = "dense" if name == "taken" else name
        requires = "sr-bench>=9" if name == "future" else RANGE
        site.add(f"{name}-dist", {"methods": {entry: f"{name}_mod:Odd"}}, {f"{name}_mod": source}, requires)
        site.add(f"{name}-data", {"datasets": {f"{name}_data": f"{name}_mod:Odd"}}, {}, requires)
    for name in ("claims-one", "claims-two"):
        site.add(name, {"datasets": {"claimed": "prints_mod:Odd"}}, {}, RANGE)
    return site


def test_bad_plugins_leave_every_command_as_it_was(bad_site: Site) -> None:
    listed = bad_site.srbench("list", "methods", "--json", "-")
    assert {"dense", "recursive", "raises", "typed"} <= set(json.loads(listed.stdout)["names"])
    explained = bad_site.srbench("explain", "matlab-y", "--json", "-")
    assert explained.returncode == 0
    json.loads(explained.stdout)
    # Goes through every data set, those of the bad plugins too.
    data = bad_site.srbench("data", "list", "--json", "-")
    assert data.returncode == 0, data.stderr
    assert "Traceback" not in data.stderr
    value = json.loads(data.stdout)
    assert {"Set5", "embedded-test"} <= {row["name"] for row in value["datasets"]}
    reasons = {row["name"]: row["reason"] for row in value["unusable"]}
    bad = {"raises", "sleeps", "prints", "exits", "needs", "future", "typed", "taken"}
    assert set(reasons) == {*(f"{name}_data" for name in bad), "claimed"}
    assert "SystemExit" in reasons["exits_data"]
    assert "claims-one 1.0 (prints_mod:Odd)" in reasons["claimed"]
    for name, reason in reasons.items():
        assert f"left out: {name}: {reason}" in data.stderr


def test_a_data_set_that_fails_when_it_is_opened_or_read_leaves_the_list_as_it_was(site: Site) -> None:
    source = """
    from srbench.plugin import FolderDataset
    import sys
    class Unreadable(FolderDataset):
        def __init__(self): pass
        def image_names(self): return 1 / 0
    def ends(): sys.exit(3)
    """
    entries = {"datasets": {"unreadable": "odd_mod:Unreadable", "ends": "odd_mod:ends"}}
    site.add("odd-dist", entries, {"odd_mod": source}, RANGE)
    listed = site.srbench("data", "list", "--json", "-")
    assert listed.returncode == 0, listed.stderr
    reasons = {row["name"]: row["reason"] for row in json.loads(listed.stdout)["unusable"]}
    assert "ZeroDivisionError" in reasons["unreadable"]
    assert "SystemExit: 3" in reasons["ends"]
    table = site.srbench("data", "list")
    assert table.returncode == 0, table.stderr
    assert "embedded-test" in table.stdout
    assert "left out: ends: " in table.stderr


def test_what_a_plugin_prints_at_import_is_no_part_of_the_result(bad_site: Site) -> None:
    source = "from srbench.registry import get_method\nfor name in ('prints', 'raises', 'exits', 'typed'):\n"
    source += "    try: get_method(name)\n    except Exception as error: print(type(error).__name__)\n"
    result = bad_site.python(source)
    assert result.stdout.split() == ["PluginError"] * 4
    assert result.stderr.count("NOISE") == 2


def test_our_own_name_stays_ours_and_the_plugins_is_reached_with_its_distribution(site: Site) -> None:
    site.add("odd-dist", {"methods": {"dense": "odd_mod:Odd", "odd": "odd_mod:Odd"}}, {"odd_mod": METHOD}, RANGE)
    source = "from srbench.registry import canonical_name, get_method\n"
    source += "print(get_method('dense').__module__, get_method('odd-dist:dense').__module__)\n"
    source += "for name in ('edsr_tiny+dense', 'edsr_tiny+odd-dist:dense', 'sr-bench:edsr_tiny+odd_dist:odd'):\n"
    source += "    print(canonical_name(name), canonical_name(str(canonical_name(name))))\n"
    assert site.python(source).stdout.split() == [
        "srbench.models.methods.dense", "odd_mod",
        "edsr_tiny+dense", "edsr_tiny+dense",
        "edsr_tiny+odd-dist:dense", "edsr_tiny+odd-dist:dense",
        "edsr_tiny+odd", "edsr_tiny+odd",
    ]  # fmt: skip


def test_a_name_of_two_plugins_is_reached_with_the_distribution(site: Site) -> None:
    for name in ("first", "second"):
        commands = f"def greet(): print('{name}')\n" + METHOD
        entries = {"commands": {"greet": f"{name}_mod:greet"}, "methods": {"odd": f"{name}_mod:Odd"}}
        site.add(f"{name}-dist", entries, {f"{name}_mod": commands}, RANGE)
    assert site.srbench("second-dist:greet").stdout == "second\n"
    refused = site.srbench("greet")
    assert refused.returncode == 2
    assert "'first-dist:greet'" in refused.stderr
    source = "from srbench.registry import get_method; print(get_method('second-dist:odd').__module__)"
    assert site.python(source).stdout == "second_mod\n"


PROTOCOL = """
from srbench.plugin import Protocol

OURS = Protocol("matlab-y", crop_border=7)
ODD = Protocol("odd", crop_border={border})
"""


def test_a_protocol_is_reached_with_its_distribution(site: Site) -> None:
    for name, border in (("first", 1), ("second", 2)):
        entries = {"protocols": {"matlab-y": f"{name}_mod:OURS", "odd": f"{name}_mod:ODD"}}
        site.add(f"{name}-dist", entries, {f"{name}_mod": PROTOCOL.format(border=border)}, RANGE)
    site.add("third-dist", {"protocols": {"only": "third_mod:ODD"}}, {"third_mod": PROTOCOL.format(border=3)}, RANGE)
    source = "from srbench.protocols import get_protocol\n"
    source += (
        "for name in ('matlab-y', 'sr-bench:matlab-y', 'First_Dist:matlab-y', 'second-dist:odd', 'first-dist:odd'):\n"
    )
    source += "    found = get_protocol(name)\n"
    source += "    assert get_protocol(found.name) == found\n"
    source += "    print(found.name, found.crop_border)\n"
    source += "for name in ('odd', 'third-dist:only', 'third-dist:odd'):\n"
    source += "    try: get_protocol(name)\n    except Exception as error: print(type(error).__name__)\n"
    result = site.python(source)
    assert result.stdout.splitlines() == [
        "matlab-y scale",
        "matlab-y scale",
        "first-dist:matlab-y 7",
        "second-dist:odd 2",
        "first-dist:odd 1",
        "DuplicateNameError",
        "PluginError",  # its own name is another
        "UnknownNameError",
    ], result.stderr


def test_results_under_a_protocol_of_a_distribution_have_its_whole_name(site: Site) -> None:
    entries = {"protocols": {"matlab-y": "first_mod:OURS"}}
    site.add("first-dist", entries, {"first_mod": PROTOCOL.format(border=1)}, RANGE)
    source = "from srbench.runs.planner import make_plan\nfrom srbench.suite.definition import Suite\n"
    source += "suite = {'name': 's', 'scale': 2, 'models': ['bicubic'], 'datasets': ['embedded-test'],\n"
    source += "         'protocol': ['sr-bench:matlab-y', 'first-dist:matlab-y']}\n"
    source += "ours, theirs = make_plan(Suite.model_validate(suite)).cells\n"
    source += "print(ours.shown_protocol, theirs.shown_protocol, theirs.directory.rpartition('-')[0])\n"
    source += "assert ours.key != theirs.key\n"
    result = site.python(source)
    assert result.stdout.split() == [
        "matlab-y", "first-dist:matlab-y", "bicubic-x2-embedded-test-first-dist-matlab-y",
    ], result.stderr  # fmt: skip


def test_srbench_plugins_allows_or_forbids(site: Site) -> None:
    site.add("odd-dist", {"methods": {"odd": "odd_mod:Odd"}}, {"odd_mod": METHOD}, RANGE)

    def methods(chosen: str) -> set[str]:
        return set(site.srbench("list", "methods", SRBENCH_PLUGINS=chosen).stdout.split())

    ours = {"dense", "recursive"}
    assert methods("") >= {*ours, "odd", "ps"}
    assert methods("Odd_Dist") == {*ours, "odd"}
    assert methods("ps, odd-dist") >= {*ours, "odd", "ps"}
    assert methods("sr-bench") == ours
    assert "odd" not in methods("-odd-dist")
    assert "ps" in methods("-odd-dist")
    source = "from srbench.registry import get_method; get_method('odd')"
    assert "which SRBENCH_PLUGINS leaves out" in site.python(source, SRBENCH_PLUGINS="-odd-dist").stderr


def test_the_table_says_what_each_plugin_contributes_and_imports_none(site: Site) -> None:
    source = "raise SystemExit('imported')"
    site.add("odd-dist", {"methods": {"odd": "odd_mod:Odd"}}, {"odd_mod": source}, "sr-bench>=9")
    result = site.srbench("plugins", "--json", "-", SRBENCH_PLUGINS="-zoo,-nobody")
    assert result.returncode == 0, result.stderr
    value = json.loads(result.stdout)
    rows = {row["distribution"]: row for row in value["plugins"]}
    assert rows["odd-dist"]["status"] == "incompatible"
    assert rows["odd-dist"]["names"] == ["methods/odd"]
    assert rows["sr-bench-zoo"]["status"] == "left out"
    assert value["unknown_in_srbench_plugins"] == ["nobody"]
    assert "odd-dist" in site.srbench("plugins").stdout


def test_with_two_hundred_plugins_listing_imports_neither_them_nor_torch(site: Site) -> None:
    for number in range(200):
        module = {f"many{number}_mod": "raise SystemExit('imported')"}
        site.add(f"many-{number}", {"methods": {f"many{number}": f"many{number}_mod:Odd"}}, module, RANGE)
    source = "import sys\nfrom srbench.registry import list_methods\nprint(len(list_methods('many*')))\n"
    source += "print([name for name in sys.modules if name == 'torch' or name.startswith('many')])"
    assert site.python(source).stdout.splitlines() == ["200", "[]"]
