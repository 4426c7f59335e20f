"""tox.ini, constraints.txt and the CI workflow agree with one another and with pyproject.toml."""

from __future__ import annotations

import configparser
import re
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]


def pins() -> dict[str, str]:
    found = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, separator, pinned = line.partition("==")
            assert separator, f"constraints.txt: '{line}' is no pin"
            found[canonicalize_name(name)] = pinned
    return found


def tox() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "tox.ini")
    return parser


def requirements() -> list[Requirement]:
    listed: list[str] = []
    for file in (ROOT / "pyproject.toml", *ROOT.glob("plugins/*/pyproject.toml")):
        content = tomllib.loads(file.read_text())
        listed += content["build-system"]["requires"] + content["project"].get("dependencies", [])
        for extra in content["project"].get("optional-dependencies", {}).values():
            listed += extra
    for section in tox().sections():
        lines = tox()[section].get("deps", "").splitlines()
        listed += [line for line in lines if re.match(r"[A-Za-z]", line)]  # not "-e plugins/ps"
    return [Requirement(line) for line in listed]


def test_whatever_tox_installs_is_pinned() -> None:
    known = pins()
    names = {canonicalize_name(requirement.name) for requirement in requirements()}
    assert sorted(name for name in names if name not in known and not name.startswith("sr-bench")) == []


def test_pins_satisfy_the_declared_ranges() -> None:
    known = pins()
    wrong = [
        f"{requirement} is pinned to {known[name]}"
        for requirement in requirements()
        if (name := canonicalize_name(requirement.name)) in known
        and not requirement.specifier.contains(known[name], prereleases=True)
    ]
    assert wrong == []


def test_torch_and_torchvision_are_the_pair_that_fits() -> None:
    assert (pins()["torch"], pins()["torchvision"]) == ("2.13.0", "0.28.0")


def test_both_variables_that_pips_read_name_the_constraints() -> None:
    set_env = tox()["testenv"]["set_env"]
    assert "PIP_CONSTRAINT = {tox_root}{/}constraints.txt" in set_env
    assert "PIP_BUILD_CONSTRAINT = {tox_root}{/}constraints.txt" in set_env


@pytest.mark.parametrize("name", ["torch", "numpy", "pydantic", "pytest"])
def test_tests_run_with_the_pinned_version(name: str) -> None:
    try:
        installed = version(name)
    except PackageNotFoundError:
        pytest.fail(f"{name} is not installed")
    assert installed.partition("+")[0] == pins()[name]


@pytest.mark.parametrize(
    "plugin", sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml")), ids=lambda p: p.name
)
def test_every_plugin_is_installed_linted_and_typed(plugin: Path) -> None:
    place = plugin.relative_to(ROOT)
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    (package,) = (path.name for path in (plugin / "src").iterdir() if (path / "__init__.py").is_file())
    assert f"-e {place.as_posix()}" in tox()["testenv:tests"]["deps"]
    assert f"-e {'{/}'.join(place.parts)}" in tox()["testenv:docs"]["commands_pre"]
    assert "{/}".join(("{tox_root}", *place.parts, "src")) in tox()["testenv:lint"]["set_env"]
    assert f"$MYPY_CONFIG_FILE_DIR/{place.as_posix()}/src" in tools["mypy"]["mypy_path"]
    assert package in tools["importlinter"]["root_packages"]
    contracts = {contract["name"]: contract for contract in tools["importlinter"]["contracts"]}
    assert package in contracts["The core never imports a plugin"]["forbidden_modules"]
    assert package in contracts["basicsr is imported in six places"]["source_modules"]
    assert package in contracts["Plugins import srbench.plugin only"]["source_modules"]


def workflow() -> dict[str, Any]:
    content = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert isinstance(content, dict)
    return content


def test_workflow_calls_only_environments_that_tox_has() -> None:
    called = re.findall(r"tox run -e ([\w,-]+)", (ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert called
    known = {section.removeprefix("testenv:") for section in tox().sections()}
    assert {name for names in called for name in names.split(",")} <= known


def test_gate_runs_properties_before_benchmarks_before_leaderboards() -> None:
    jobs = workflow()["jobs"]

    def before(job: str) -> set[str]:
        needs = jobs[job].get("needs", [])
        direct = {needs} if isinstance(needs, str) else set(needs)
        return direct | {name for other in direct for name in before(other)}

    assert "tests" in before("quickstart")
    assert "quickstart" in before("leaderboards")
    assert "lint" in before("tests")


def test_ci_script_runs_the_command_of_the_readme() -> None:
    command = "pip install tox && tox"
    assert re.search(rf"^{command}$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    readme = (ROOT / "README.md").read_text()
    assert re.search(rf"^\s*{command}(?: .*)?$", readme, re.MULTILINE)
    assert "pip install tox && tox run -e quickstart" in readme


WORKFLOWS = sorted(
    [
        *ROOT.glob(".github/workflows/*.yml"),
        *ROOT.glob("core/srbench/cli/templates/*/project/{{dot}}github/workflows/*.jinja"),
    ]
)


def used_actions(file: Path) -> list[tuple[str, str, str]]:
    """Return action, commit and version of every step; workflows of this repository are called by their path."""
    found = []
    for line in file.read_text().splitlines():
        if re.match(r"\s*(- )?uses: (?!\./)", line):
            step = re.search(r"uses: ([^@\s]+)@(\S+)\s+# (v[\d.]+)$", line)
            assert step is not None, f"{file.name}: '{line.strip()}' is not pinned, or does not say to which version"
            found.append((step[1], step[2], step[3]))
    return found


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit(file: Path) -> None:
    assert [commit for _, commit, _ in used_actions(file) if not re.fullmatch(r"[0-9a-f]{40}", commit)] == []


def test_every_action_has_the_same_commit_in_all_workflows() -> None:
    pinned = {step for file in WORKFLOWS for step in used_actions(file)}
    assert len(pinned) == len({action for action, _, _ in pinned})


def test_publishing_stores_no_token() -> None:
    text = (ROOT / ".github" / "workflows" / "publish.yml").read_text()
    assert "secrets." not in text
    jobs = yaml.safe_load(text)["jobs"]
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert "id-token" not in str(jobs["build"])


def test_the_platforms_of_ci_are_those_promised() -> None:
    matrix = workflow()["jobs"]["platforms"]["strategy"]["matrix"]
    assert matrix["python"] == ["3.11", "3.12", "3.13"]
    assert {name.partition("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}


def test_without_basicsr_the_platforms_run_what_tox_runs_there() -> None:
    steps = [step for step in workflow()["jobs"]["platforms"]["steps"] if "run" in step]
    assert [step["run"].split()[:3] for step in steps if step["if"] != "matrix.python != '3.13'"] == [
        ["pip", "install", "tox"]
    ]
    (own,) = (step["run"] for step in steps if step["if"] == "matrix.python == '3.13'")
    # A missing interpreter would otherwise count as success.
    assert "tox run -e py313 --skip-missing-interpreters false" in own
    for name in re.findall(r"tests/\S+", tox()["testenv:py313"]["commands"]):
        assert (ROOT / name).exists(), name


def test_the_citation_names_the_version_and_the_licence() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (citation["version"], citation["license"]) == (project["version"], project["license"])
