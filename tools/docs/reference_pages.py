"""Reference pages of `srbench.plugin`, of the Python API, of protocols and of stored results, made from the source."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "core" / "srbench"
PLUGIN = "reference/plugin"

# Page of the Python API -> its introduction, and the objects on it. What `srbench` itself offers comes first, and is
# read from the package.
API = {
    "evaluation": (
        "Evaluation",
        "What `srbench eval` calls.",
        (
            "srbench.evaluation.evaluate.evaluate",
            "srbench.evaluation.evaluate.evaluate_protocols",
            "srbench.evaluation.evaluate.super_resolve",
            "srbench.evaluation.result.Evaluation",
            "srbench.evaluation.options.InferenceOptions",
            "srbench.data.datasets.open_dataset",
        ),
    ),
    "training": (
        "Training",
        "What `srbench train` calls.",
        ("srbench.training.train.train", "srbench.training.recipe.Recipe", "srbench.training.recipe.make_recipe",
         "srbench.training.recipe.load_recipe"),
    ),
    "runs": (
        "Suites and runs",
        "What `srbench run` calls.",
        ("srbench.suite.definition.load_suite", "srbench.suite.definition.Suite", "srbench.runs.runner.run",
         "srbench.runs.runner.RunReport"),
    ),
    "leaderboards": (
        "Results and leaderboards",
        "What `srbench leaderboard` calls. None of it needs torch.",
        (
            "srbench.leaderboard.build",
            "srbench.leaderboard.ranking",
            "srbench.leaderboard.show",
            "srbench.results.store.RunStore",
            "srbench.results.replays.read_replays",
            "srbench.results.leak_records.read_leaks",
            "srbench.results.reported.read_reported",
        ),
    ),
    "cost": (
        "Cost and export",
        "What `srbench cost` and `srbench export` call.",
        ("srbench.cost.counts.cost_of", "srbench.cost.counts.work_at", "srbench.cost.rules.register_rule",
         "srbench.interop.onnx.export_onnx"),
    ),
}  # fmt: skip


def pages() -> dict[str, str]:
    """Return source address -> Markdown."""
    return {**_plugin_pages(), **_api_pages(), "reference/protocols.md": _protocols(), "reference/schema.md": _schema()}


def plugin_sections() -> dict[str, list[tuple[str, str]]]:
    """Return section -> (name, what it is) of all names that `srbench.plugin` offers, as its docstring has them."""
    sections: dict[str, list[tuple[str, str]]] = {}
    title = ""
    for line in (ast.get_docstring(_tree("plugin.py")) or "").splitlines()[4:]:
        if match := re.fullmatch(r"    (\w+): (.*)", line):
            sections.setdefault(title, []).append((match[1], match[2]))
        elif line.strip():
            title = line.strip()
    return sections


def _plugin_pages() -> dict[str, str]:
    modules = _table_of("plugin.py", "_MODULES")
    listed = ["# srbench.plugin", ""]
    listed += ["Everything that a plugin may import. Nothing else of sr-bench is a stable interface.", ""]
    found = {}
    for title, names in plugin_sections().items():
        address = title.lower().replace(",", "").replace(" ", "-")
        listed += [f"## [{title}]({address}.md)", "", "| name | what it is |", "|---|---|"]
        body = [f"# {title}", "", f"Names of `srbench.plugin`: `from srbench.plugin import {names[0][0]}`.", ""]
        for name, text in names:
            place = modules[name]
            is_module = place.endswith(f".{name}") and not _defines(place, name)
            anchor = place if is_module else f"srbench.plugin.{name}"
            listed.append(f"| [`{name}`]({address}.md#{anchor}) | {text.replace('|', chr(92) + '|')} |")
            body += [f"::: {anchor}", ""]
            if not _documented(place, name):
                body += [f"{text[:1].upper()}{text[1:]}", ""]
        listed.append("")
        found[f"{PLUGIN}/{address}.md"] = "\n".join(body)
    return {f"{PLUGIN}/index.md": "\n".join(listed), **found}


def _api_pages() -> dict[str, str]:
    listed = [
        "# Python API", "",
        "`import srbench` offers the names on the first page; they and those of [`srbench.plugin`](../plugin/index.md)",
        "are stable within a minor version. The other pages have the functions that the commands call, which may",
        "change with any version before 1.0.", "",
        "- [srbench](srbench.md): models, methods and names",
        *(f"- [{title}]({name}.md)" for name, (title, _, _) in API.items()),
    ]  # fmt: skip
    found = {"reference/api/index.md": "\n".join([*listed, ""])}
    body = ["# srbench", "", "The names that `import srbench` offers; torch is imported when one of them needs it.", ""]
    for name in _table_of("__init__.py", "_PUBLIC"):
        body += [f"::: srbench.{name}", ""]
    found["reference/api/srbench.md"] = "\n".join(body)
    for name, (title, introduction, objects) in API.items():
        lines = [f"# {title}", "", introduction, ""]
        for path in objects:
            lines += [f"::: {path}", "    options:", "      show_root_full_path: true", ""]
        found[f"reference/api/{name}.md"] = "\n".join(lines)
    return found


def _protocols() -> str:
    """Return a table of every choice of the installed protocols, read from the source without importing it."""
    tree = _tree("protocols.py")
    (definition,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Protocol")
    defaults = {
        node.target.id: ast.literal_eval(node.value) if node.value is not None else None
        for node in definition.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    protocols = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and _name(node.value.func) == "Protocol":
            given = dict(zip(defaults, (ast.literal_eval(argument) for argument in node.value.args), strict=False))
            given |= {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.value.keywords if keyword.arg}
            protocols[given.pop("name")] = given
    lines = [
        "# Protocols", "",
        "`srbench explain NAME` says in words what each choice does, and measures its effect.", "",
        "| choice | " + " | ".join(f"`{name}`" for name in protocols) + " |", "|---" * (len(protocols) + 1) + "|",
    ]  # fmt: skip
    for field, default in defaults.items():
        if field == "name":
            continue
        values = [(given.get(field, default), field in given) for given in protocols.values()]
        cells = [f"**{value}**" if changed else f"{value}" for value, changed in values]
        lines.append(f"| `{field}` | " + " | ".join(cells) + " |")
    lines += ["", "In bold: what differs from `matlab-y`.", "", "::: srbench.protocols.Protocol", ""]
    return "\n".join(lines)


def _schema() -> str:
    lines = [
        "# Stored results", "",
        "The fields of `record.json`, one for each cell, and of `run.json`. The JSON schemas are in",
        "[record-4.json](../schema/record-4.json) and [run-2.json](../schema/run-2.json); `srbench leaderboard schema`",
        "prints them.", "",
    ]  # fmt: skip
    seen = set()
    for file in ("record-4.json", "run-2.json"):
        schema = json.loads((ROOT / "docs" / "schema" / file).read_text(encoding="utf-8"))
        parts = {schema["title"]: schema, **schema.get("$defs", {})}
        for name, part in parts.items():
            if "properties" not in part or name in seen:
                continue
            seen.add(name)
            summary, described = _attributes(part.get("description", ""))
            lines += [f"## {name}", "", summary, "", "| field | type | meaning |", "|---|---|---|"]
            for field, content in part["properties"].items():
                text = content.get("description") or described.get(field, "")
                lines.append(f"| `{field}` | {_type(content)} | {_cell(text)} |")
            lines.append("")
    return "\n".join(lines)


def _attributes(text: str) -> tuple[str, dict[str, str]]:
    """Return a docstring's text, and what it says of each attribute."""
    summary, _, rest = text.partition("\n\nAttributes:\n")
    return summary.strip(), {
        match[1]: " ".join(match[2].split())
        for match in re.finditer(r"^    (\w+): (.*(?:\n {5,}.*)*)", rest, re.MULTILINE)
    }


def _type(content: dict[str, Any]) -> str:
    if "$ref" in content:
        name = content["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in content:
        return " or ".join(dict.fromkeys(_type(option) for option in content["anyOf"]))
    if "const" in content or "enum" in content:
        return ", ".join(f"`{value}`" for value in content.get("enum", [content.get("const")]))
    if content.get("type") == "array":
        return f"list of {_type(content['items'])}" if content.get("items") else "list"
    if content.get("type") == "object":
        values = content.get("additionalProperties")
        return f"object of {_type(values)}" if isinstance(values, dict) and values else "object"
    return str(content.get("type", "any"))


def _table_of(file: str, name: str) -> dict[str, str]:
    for node in _tree(file).body:
        if isinstance(node, ast.Assign) and _name(node.targets[0]) == name:
            return dict(ast.literal_eval(node.value))
    raise LookupError(f"{file} has no table {name}")


def _documented(module: str, name: str) -> bool:
    """Return whether an object has a docstring of its own: classes and functions do, constants do not."""
    if not _defines(module, name):
        return True  # a module, or a name that a package takes from one of its modules
    return any(isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name for node in _tree_of(module).body)


def _defines(module: str, name: str) -> bool:
    for node in _tree_of(module).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return True
        if isinstance(node, ast.Assign) and any(_name(target) == name for target in node.targets):
            return True
        if isinstance(node, ast.AnnAssign) and _name(node.target) == name:
            return True
    return False


def _tree_of(module: str) -> ast.Module:
    path = Path(*module.split(".")[1:])
    return _tree(f"{path}.py") if (CORE / f"{path}.py").is_file() else _tree(str(path / "__init__.py"))


def _tree(file: str) -> ast.Module:
    return ast.parse((CORE / file).read_text(encoding="utf-8"))


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
