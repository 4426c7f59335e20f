"""Plugins found from metadata: real distributions in a folder of their own, looked at by a real process."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from srbench.registry.entry_points import contributions
from srbench.registry.extras import EXTRAS

Site = Any  # the class of the fixture `site`, in conftest.py


def doctor(site: Site, *names: str) -> dict[str, dict[str, Any]]:
    result = site.srbench("plugins", "doctor", *names, "--json", "-")
    return {report["distribution"]: report for report in json.loads(result.stdout)["plugins"]}


def test_a_strangers_method_is_listed_without_being_imported(site: Site) -> None:
    site.add("stranger", {"methods": {"odd": "stranger_mod:Odd"}}, {"stranger_mod": "raise SystemExit('imported')"})
    result = site.srbench("list", "methods")
    assert result.returncode == 0
    assert "odd" in result.stdout.split()


def test_two_distributions_with_one_name_are_both_named(site: Site) -> None:
    for name in ("first", "second"):
        site.add(f"{name}-dist", {"methods": {"odd": f"{name}_mod:Odd"}}, {f"{name}_mod": "class Odd: pass"})
    code = "import srbench; srbench.create_model('edsr_tiny+odd', scale=2)"
    run = f"import sys; sys.path.insert(0, {str(site.path)!r}); {code}"
    result = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, timeout=120)
    assert "DuplicateNameError" in result.stderr
    assert "first-dist" in result.stderr
    assert "second-dist" in result.stderr
    assert "claimed by" in str(doctor(site, "first-dist")["first-dist"]["detail"])


def test_a_decorator_cannot_take_an_installed_name() -> None:
    from srbench.errors import DuplicateNameError
    from srbench.registry.registries import METHODS, register_method

    class Dense:
        pass

    before = METHODS.names()
    with pytest.raises(DuplicateNameError, match=r"sr-bench.*srbench\.models\.methods\.dense"):
        register_method(Dense)
    assert METHODS.names() == before


SOUND = """
    from srbench.plugin import SharingMethod

    class Odd(SharingMethod):
        def replace(self, site, module, shared, scales):
            return module
    """


@pytest.mark.parametrize(
    ("name", "source", "requires", "status", "said"),
    [
        ("fails", "raise RuntimeError('no luck')", "", "broken", "no luck"),
        ("typo", "class Odder: pass", "", "broken", "Odd"),
        ("needs", "import a_module_nobody_has", "", "missing dependency", "a_module_nobody_has"),
        ("future", SOUND, "sr-bench>=9", "incompatible", ">=9"),
        ("sound", SOUND, "sr-bench>=0.1,<0.2", "ok", ""),
    ],
)
def test_doctor_says_what_is_wrong(site: Site, name: str, source: str, requires: str, status: str, said: str) -> None:
    site.add(f"{name}-dist", {"methods": {"odd": f"{name}_mod:Odd"}}, {f"{name}_mod": source}, requires)
    reports = doctor(site, f"{name}-dist", "sr-bench-tied-tconv")
    assert reports[f"{name}-dist"]["status"] == status
    assert said in str(reports[f"{name}-dist"]["detail"])
    assert bool(reports[f"{name}-dist"]["traceback"]) == (status == "broken")
    assert reports["sr-bench-tied-tconv"]["status"] == "ok", "one broken plugin hid another"


def test_a_broken_plugin_breaks_only_its_own_names(site: Site) -> None:
    site.add("fails-dist", {"methods": {"odd": "fails_mod:Odd"}}, {"fails_mod": "1 / 0"})
    assert site.srbench("list", "models").returncode == 0
    result = site.srbench("eval", "edsr_tiny+odd", "--scale", "2", "--data", "Set5", "--protocol", "matlab-y")
    assert result.returncode == 2
    assert "fails-dist" in result.stderr
    assert "Traceback" not in result.stderr


SUITE = "name: odd\nscale: 2\nmodels: [bicubic]\ndatasets: [embedded-test]\n"
SUITES = {
    "a path": "from pathlib import Path\nodd = Path(__file__).with_name('odd.yaml')",
    "a resource": "from importlib.resources import files\nodd = files('odd_data') / 'odd.yaml'",
}


@pytest.fixture(params=SUITES)
def suite_site(site: Site, request: pytest.FixtureRequest) -> Site:
    site.add("suite-dist", {"suites": {"odd": "suite_mod:odd"}}, {"suite_mod": SUITES[request.param]})
    (site.path / "odd_data").mkdir()
    (site.path / "odd_data" / "__init__.py").touch()
    for folder in (site.path, site.path / "odd_data"):
        (folder / "odd.yaml").write_text(SUITE)
    return site


def dry_run(site: Site, suite: str) -> subprocess.CompletedProcess[str]:
    return site.srbench("run", "--suite", suite, "--out", str(site.path / "run"), "--dry-run", "--json", "-")


def test_a_strangers_suite_is_listed_and_can_be_run(suite_site: Site) -> None:
    assert "odd" in suite_site.srbench("list", "suites").stdout.split()
    result = dry_run(suite_site, "odd")
    assert result.returncode == 0, result.stderr
    assert {cell["model"] for cell in json.loads(result.stdout)["cells"]} == {"bicubic"}
    assert doctor(suite_site, "suite-dist")["suite-dist"]["status"] == "warning", "it requires no sr-bench"
    unknown = dry_run(suite_site, "odf")
    assert unknown.returncode == 2
    assert "did you mean 'odd'?" in unknown.stderr


@pytest.mark.parametrize(
    ("entry", "source", "said"),
    [
        (
            "odd",
            "from pathlib import Path\nodd = Path(__file__).with_name('gone.yaml')",
            ["gone.yaml", "does not exist"],
        ),
        ("odd", "odd = 'odd.yaml'", ["is a str, not the pathlib.Path"]),
        ("odd", "even = 1", ["suite-dist", "odd"]),
        ("odd", "1 / 0", ["suite-dist", "division by zero"]),
        ("other", SUITES["a path"].replace("odd =", "other ="), ["line 1", "'other'", "its name is 'odd'"]),
        (
            "bad",
            "from pathlib import Path\nbad = Path(__file__).with_name('bad.yaml')",
            ["line 2", "unknown key 'scal'"],
        ),
    ],
)
def test_a_wrong_suite_is_one_sentence(site: Site, entry: str, source: str, said: list[str]) -> None:
    site.add("suite-dist", {"suites": {entry: f"suite_mod:{entry}"}}, {"suite_mod": source})
    (site.path / "odd.yaml").write_text(SUITE)
    (site.path / "bad.yaml").write_text(SUITE.replace("scale", "scal"))
    assert entry in site.srbench("list", "suites").stdout.split()
    result = dry_run(site, entry)
    assert result.returncode == 2
    assert result.stderr.startswith("srbench: ")
    assert result.stderr.count("\n") == 1, result.stderr
    for part in said:
        assert part in result.stderr


def test_a_file_that_a_suite_names_and_is_not_there_is_the_doctors_business(site: Site) -> None:
    source = "from pathlib import Path\nodd = Path(__file__).with_name('gone.yaml')"
    site.add("suite-dist", {"suites": {"odd": "suite_mod:odd"}}, {"suite_mod": source})
    report = doctor(site, "suite-dist")["suite-dist"]
    assert report["status"] == "broken"
    assert "gone.yaml" in str(report["detail"])


def test_the_table_of_extras_agrees_with_the_plugins_entry_points() -> None:
    for extra, kinds in EXTRAS.items():
        for kind, names in kinds.items():
            installed = {
                name
                for name, items in contributions()[kind].items()
                if any(item.entry.dist is not None and item.entry.dist.name == f"sr-bench-{extra}" for item in items)
            }
            assert installed == set(names)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("odd", "odd"),
        ("SR_bench.ps", "sr-bench-ps"),
        ("ps", "sr-bench-ps"),
        ("foo", "srbench-foo"),
        ("both", "sr-bench-both"),
        ("nobody", None),
        ("", None),
    ],
)
def test_a_distribution_is_found_with_and_without_its_prefix(text: str, found: str | None) -> None:
    from srbench.registry.plugin_filter import named

    assert named(text, ["odd", "sr-bench-ps", "srbench-foo", "sr-bench-both", "srbench-both"]) == found


def test_a_requirement_is_written_from_the_lowest_version_up(site: Site) -> None:
    site.add("odd-dist", {"methods": {"odd": "odd_mod:Odd"}}, {"odd_mod": ""}, "sr-bench<0.2,>=0.1,!=0.1.5")
    source = "from srbench.registry import entry_points\n"
    source += "print(entry_points.requirement(entry_points.distributions()['odd-dist']))"
    assert site.python(source).stdout == ">=0.1,!=0.1.5,<0.2\n"


def test_the_doctor_finds_nothing_wrong_here() -> None:
    from srbench.cli.plugin_doctor import examine_plugins

    # Slow imports are the machine's affair, and warnings.
    reports = examine_plugins(time_limit=300)
    wrong = {r.distribution: [str(f) for f in r.findings if f.status.value != "warning"] for r in reports}
    assert wrong == {name: [] for name in wrong}


COMMANDS = """
    import not_there_at_all
    import typer

    def greet(name: str = "you") -> None:
        '''Greet somebody.

        Example: `srbench greet`
        '''
        typer.echo(f"hello {name}")
    """


def test_a_strangers_command_is_described_without_being_imported(site: Site) -> None:
    site.add("stranger", {"commands": {"greet": "stranger_mod:greet"}}, {"stranger_mod": COMMANDS})
    result = site.srbench("--help")
    assert result.returncode == 0, result.stderr
    assert "Greet somebody." in result.stdout


def test_a_strangers_command_runs(site: Site) -> None:
    source = COMMANDS.replace("import not_there_at_all", "")
    app = "\n".join(
        [
            "import typer",
            "app = typer.Typer(help='Do things.')",
            "@app.command()",
            "def a(): print('a')",
            "@app.command()",
            "def b(): print('b')",
        ]
    )
    commands = {"greet": "stranger_mod:greet", "things": "stranger_app:app"}
    site.add("stranger", {"commands": commands}, {"stranger_mod": source, "stranger_app": app})
    assert site.srbench("greet", "--name", "world").stdout == "hello world\n"
    assert site.srbench("things", "a").stdout == "a\n"
    assert "Do things." in site.srbench("--help").stdout


@pytest.mark.parametrize("source", ["raise SystemExit('imported')", "1 / 0", "def greet(:", "import not_there_at_all"])
def test_a_broken_command_breaks_neither_help_nor_another_command(site: Site, source: str) -> None:
    site.add("broken-dist", {"commands": {"greet": "broken_mod:greet"}}, {"broken_mod": source})
    result = site.srbench("--help")
    assert result.returncode == 0, result.stderr
    assert "contributed by broken-dist 1.0" in " ".join(result.stdout.split())
    assert site.srbench("list", "methods").returncode == 0
    assert site.srbench("swap", "--help").returncode == 0


def test_calling_a_broken_command_is_one_sentence(site: Site) -> None:
    site.add("broken-dist", {"commands": {"greet": "broken_mod:greet"}}, {"broken_mod": "1 / 0"})
    site.add("odd-dist", {"commands": {"odd": "odd_mod:odd"}}, {"odd_mod": "odd = 3"})
    for name, said in (("greet", "ZeroDivisionError"), ("odd", "is int, neither a function")):
        result = site.srbench(name)
        assert result.returncode == 2
        assert said in result.stderr
        assert "Traceback" not in result.stderr


def test_a_command_that_two_distributions_claim_names_both(site: Site) -> None:
    for name in ("first", "second"):
        site.add(f"{name}-dist", {"commands": {"greet": f"{name}_mod:greet"}}, {f"{name}_mod": "def greet(): pass"})
    result = site.srbench("greet")
    assert result.returncode == 2
    assert "first-dist" in result.stderr
    assert "second-dist" in result.stderr


def test_a_plugin_cannot_take_a_command_of_sr_bench(site: Site) -> None:
    site.add("thief", {"commands": {"list": "thief_mod:steal"}}, {"thief_mod": "def steal(): print('stolen')"})
    assert "stolen" not in site.srbench("list").stdout


def test_a_command_of_a_plugin_that_is_not_installed_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from srbench.cli.app import app
    from srbench.errors import UnknownNameError
    from srbench.registry import entry_points as plugins

    monkeypatch.setattr(plugins, "contributions", lambda: {kind: {} for kind in plugins.GROUPS})
    for words in (["swap"], ["figure", "filters"]):
        result = CliRunner().invoke(app, words)
        assert isinstance(result.exception, UnknownNameError)
        assert 'pip install "sr-bench[ps]"' in str(result.exception)
