"""`DIST:NAME` means one thing, of every kind that plugins contribute."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Site = Any  # the class of the fixtures `site` and `site_in`, in conftest.py

RANGE = "sr-bench>=0.1,<0.2"
# A module with one object of each kind, which says in some way whose it is.
ONE_OF_EACH = """
from pathlib import Path
from srbench.plugin import SharingMethod, WeightSource

def backbones(scales): pass
def baselines(scales): pass
class methods(SharingMethod):
    def replace(self, site, module, shared, scales): return module
class metrics: name, unit, higher_is_better = "odd", "", True
class datasets: name = "odd"
class executors:
    def __init__(self, folder): pass
def figures(): print(__name__)
def commands(): print(__name__)
suites = Path(__file__).with_name(f"{__name__}.yaml")
weights = WeightSource("edsr_tiny.odd", "owner/name", "0" * 40, __name__, "0" * 64, 1, "MIT", "none", (2,))
"""
# kind -> how an object is got by its name, and what then says whose it is
GOT_BY_NAME = {
    "backbones": "registry.get_backbone(name).__module__",
    "baselines": "registry.get_backbone(name).__module__",
    "methods": "registry.get_method(name).__module__",
    "metrics": "type(registry.get_metric(name)).__module__",
    "datasets": "type(open_dataset(name)).__module__",
    "executors": "type(make_executor(name, Path('.'))).__module__",
    "suites": "load_suite(name).title",
    "figures": "printed('figure', name)",
    "commands": "printed(name)",
    "weights": "registry.tagged_source(registry.canonical_name(name)).path",
}
LOOK_UP = """
import contextlib, io, json
from pathlib import Path
from srbench import registry
from srbench.cli.app import app
from srbench.data.datasets import open_dataset
from srbench.errors import SRBenchError
from srbench.runs.executor_names import make_executor
from srbench.suite.definition import load_suite

def printed(*words):
    with contextlib.redirect_stdout(io.StringIO()) as text:
        app(args=words, standalone_mode=False)
    return text.getvalue().strip()

def got(expression, name):
    try:
        return eval(expression, globals(), {"name": name})
    except SRBenchError as error:
        return type(error).__name__

found = {}
for kind, (expression, bare) in json.loads(ASKED).items():
    found[kind] = [got(expression, prefix + bare) for prefix in ("", "first-dist:", "Second_Dist:", "third-dist:")]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def looked_up(tmp_path_factory: pytest.TempPathFactory, site_in: Callable[[Path], Site]) -> dict[str, list[str]]:
    """Return kind -> what a name of two distributions means, alone and with each of three distributions before it."""
    folder = tmp_path_factory.mktemp("two-of-each")
    site = site_in(folder)
    names = {kind: "edsr_tiny.odd" if kind == "weights" else f"odd_{kind}" for kind in GOT_BY_NAME}
    for name in ("first", "second"):
        entries = {kind: {names[kind]: f"{name}_mod:{kind}"} for kind in GOT_BY_NAME}
        site.add(f"{name}-dist", entries, {f"{name}_mod": ONE_OF_EACH}, RANGE)
        suite = f"name: odd_suites\ntitle: {name}_mod\nscale: 2\nmodels: [bicubic]\ndatasets: [embedded-test]\n"
        (folder / f"{name}_mod.yaml").write_text(suite)
    site.add("third-dist", {}, {}, RANGE)
    asked = json.dumps({kind: (expression, names[kind]) for kind, expression in GOT_BY_NAME.items()})
    result = site.python(LOOK_UP.replace("ASKED", repr(asked)))
    assert result.returncode == 0, result.stderr
    return dict(json.loads(result.stdout))


@pytest.mark.parametrize("kind", GOT_BY_NAME)
def test_a_name_with_its_distribution_means_one_thing_of_every_kind(kind: str, looked_up: dict[str, list[str]]) -> None:
    alone, first, second, third = looked_up[kind]
    assert (alone, first, second) == ("DuplicateNameError", "first_mod", "second_mod")
    assert third == ("ConfigError" if kind in ("commands", "figures") else "UnknownNameError")


def test_a_tag_of_two_distributions_keeps_its_distribution_and_that_of_one_does_not(site: Site) -> None:
    weights = "from srbench.plugin import WeightSource\n"
    for tagged in ("edsr_tiny.odd", "edsr_tiny.own", "net.own"):
        weights += (
            f"{tagged.replace('.', '_')} = WeightSource('{tagged}', 'o/n', '', 'p', '', 1, 'MIT', 'none', (2,))\n"
        )
    for name, tags in (("first", ("edsr_tiny.odd", "edsr_tiny.own", "net.own")), ("second", ("edsr_tiny.odd",))):
        entries = {"weights": {tagged: f"{name}_mod:{tagged.replace('.', '_')}" for tagged in tags}}
        site.add(f"{name}-dist", entries, {f"{name}_mod": weights}, RANGE)
    site.add("third-dist", {"backbones": {"net": "third_mod:net"}}, {"third_mod": "def net(scales): pass"}, RANGE)
    names = [f"{name}-dist:edsr_tiny.odd" for name in ("first", "second")]
    names += ["first-dist:edsr_tiny.own", "first-dist:edsr_tiny"]
    source = "import sys\nfrom srbench.registry import canonical_name, get_backbone\n"
    source += f"for name in {names}: print(canonical_name(name), canonical_name(str(canonical_name(name))))\n"
    source += "print(get_backbone('first-dist:net').__module__, 'torch' in sys.modules)\n"
    source += "try: canonical_name('second-dist:net.own')\nexcept Exception as error: print(type(error).__name__)\n"
    result = site.python(source)
    assert result.stdout.split() == [
        "first-dist:edsr_tiny.odd", "first-dist:edsr_tiny.odd",
        "second-dist:edsr_tiny.odd", "second-dist:edsr_tiny.odd",
        "edsr_tiny.own", "edsr_tiny.own",
        "edsr_tiny", "edsr_tiny",
        "third_mod", "False",
        "UnknownNameError",
    ], result.stderr  # fmt: skip
