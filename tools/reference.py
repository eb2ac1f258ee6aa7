"""Write `docs/reference/` from the registry: one page per kind of plugin, and the status of all of them.

`python tools/reference.py` writes the pages; `--check` writes nothing and fails when one of them is out of date.
"""

import argparse
import json
import sys
import tomllib
from pathlib import Path
from typing import Any

from firstlight.compat.holoptycho.keys import IGNORED_PREFIXES, KEYS
from firstlight.core import registry
from firstlight.core.errors import MissingExtra

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "reference"
VERIFIED = ROOT / "tools" / "verified.toml"
KINDS = {
    "operators": "What a step of a pipeline can be: `{use: NAME, parameter: value}` under `steps`.",
    "sources": "Where frames come from: `source: {use: NAME, ...}` in a job.",
    "sinks": "Lossless outputs: `{use: NAME, of: STEP, ...}` under `sinks`.",
    "views": "Newest-wins outputs: `{use: NAME, ...}` under `to` of a view.",
    "runners": "What executes a job: `runner: {use: NAME, ...}`, or `--runner NAME`.",
    "simulators": "Stand-ins for an instrument: `firstlight sim NAME`.",
}
NOTE = "<!-- Written by tools/reference.py from the registry: `make reference`. Do not edit. -->\n"
Plugins = dict[str, dict[str, Any]]
"""Kind to name to plugin; in place of a plugin whose extra is not installed, the error that says so."""


def main() -> int:
    """Write the pages, or compare them with what would be written."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a page is out of date")
    options = parser.parse_args()
    plugins, problems = load_plugins()
    verified = tomllib.loads(VERIFIED.read_text())
    not_there = verified.pop("not_there")
    problems += problems_of_verified(plugins, verified)
    pages = {f"{kind}.md": kind_page(kind, found) for kind, found in plugins.items()}
    pages["status.md"] = status_page(plugins, verified, not_there)
    pages["holoptycho.md"] = holoptycho_page()
    for name, text in pages.items():
        path = PAGES / name
        if path.is_file() and path.read_text() == text:
            continue
        if options.check:
            problems.append(f"docs/reference/{name} is out of date; run `make reference` and commit it")
        else:
            PAGES.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(f"wrote docs/reference/{name}")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


def holoptycho_page() -> str:
    """What becomes of each key of holoptycho's config."""
    said = {
        "used": "means the same here",
        "mapped": "to a parameter of ours",
        "ignored": "has no effect, which the log says",
        "own": "is new here",
    }
    rows = [
        f"| `{name}`{' (needed)' if key.required else ''} | {key.treatment} | {key.unit} | {key.note} |"
        for name, key in KEYS.items()
    ]
    others = ", ".join(f"`{prefix}…`" for prefix in IGNORED_PREFIXES)
    return "\n".join(
        [
            NOTE,
            "# Keys of holoptycho's config\n",
            "For `firstlight serve --holoptycho` ([how to](../how-to/run-as-holoptycho.md)). A key "
            + "; ".join(f"*{name}* {what}" for name, what in said.items())
            + f". Further keys that begin with {others} have no effect.\n",
            "| key | | unit | what it does |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def load_plugins() -> tuple[Plugins, list[str]]:
    """Load every plugin, and tell which of them do not load."""
    found: Plugins = {kind: {} for kind in KINDS}
    problems: list[str] = []
    for kind in KINDS:
        for name in registry.names(kind):
            try:
                found[kind][name] = registry.get(kind, name)
            except MissingExtra as error:
                found[kind][name] = error
            except Exception as error:
                problems.append(f"{kind} '{name}' does not load: {type(error).__name__}: {error}")
    return found, problems


def problems_of_verified(plugins: Plugins, verified: dict[str, dict[str, Any]]) -> list[str]:
    """Tell which entries of verified.toml name a plugin or a test that does not exist."""
    problems: list[str] = []
    for kind, entries in verified.items():
        for name, entry in entries.items():
            if name not in plugins.get(kind, {}):
                problems.append(f"{VERIFIED.name}: there is no {kind} '{name}'")
            if not (ROOT / entry["test"]).is_file():
                problems.append(
                    f"{VERIFIED.name}: {kind} '{name}' names the test {entry['test']}, which does not exist"
                )
    return problems


def kind_page(kind: str, found: dict[str, Any]) -> str:
    """One page: what this kind is for, then each plugin with its parameters."""
    parts = [f"# {kind.capitalize()}\n", NOTE, f"{KINDS[kind]}\n"]
    parts += [plugin_section(name, plugin) for name, plugin in found.items()]
    return "\n".join(parts)


def plugin_section(name: str, plugin: Any) -> str:
    """Name, what it does, axes, parameters and papers of one plugin."""
    if isinstance(plugin, MissingExtra):
        return f"## {name}\n\nNeeds an extra that was not installed when this page was written.\n"
    model = getattr(plugin, "step", plugin)
    parts = [f"## {name}\n", f"{description(model)}\n"]
    signature = getattr(model, "signature", None)
    if isinstance(signature, property):
        parts.append("Axes: what its parameters say.\n")
    elif signature is not None:
        parts.append(f"Axes: `{signature.text}`\n")
    schema = model.model_json_schema() if hasattr(model, "model_json_schema") else {}
    properties = schema.get("properties", {})
    if properties:
        parts.append("| parameter | value | default | what it is |\n|---|---|---|---|")
        parts += [parameter_row(key, entry, schema) for key, entry in properties.items()]
        parts.append("")
    cites = getattr(model, "cites", ())
    if cites:
        parts.append("Based on " + ", ".join(f"doi:{doi}" for doi in cites) + ".\n")
    return "\n".join(parts)


def description(model: Any) -> str:
    """The docstring up to its first section (`Args:` and the like); parameters have a table of their own."""
    lines = (model.__doc__ or "").strip().splitlines()
    kept: list[str] = []
    for line in lines:
        if line.strip() in {"Args:", "Returns:", "Raises:", "Example:", "Examples:", "Attributes:"}:
            break
        kept.append(line.strip())
    return "\n".join(kept).strip()


def parameter_row(name: str, entry: dict[str, Any], schema: dict[str, Any]) -> str:
    """One row of a table of parameters."""
    default = f"`{json.dumps(entry['default'])}`" if "default" in entry else "(needed)"
    told = entry.get("description", "").replace("\n", " ").replace("|", "\\|")
    return f"| `{name}` | {value_text(entry, schema)} | {'(none)' if default == '`null`' else default} | {told} |"


def value_text(entry: dict[str, Any], schema: dict[str, Any]) -> str:
    """What values a parameter takes, in words, from its JSON schema."""
    if "$ref" in entry:
        entry = {**schema.get("$defs", {}).get(entry["$ref"].rpartition("/")[2], {}), **entry}
    if "anyOf" in entry:
        options = [value_text(option, schema) for option in entry["anyOf"] if option.get("type") != "null"]
        return " or ".join(dict.fromkeys(options))
    if "const" in entry:
        return f"`{entry['const']}`"
    if "enum" in entry:
        return ", ".join(f"`{value}`" for value in entry["enum"])
    if "prefixItems" in entry:
        return "list of " + ", ".join(value_text(item, schema) for item in entry["prefixItems"])
    if entry.get("type") == "array":
        return f"list of {value_text(entry.get('items', {}), schema)}"
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {entry[key]}" for key, sign in signs.items() if key in entry]
    unit = f" ({entry['unit']})" if "unit" in entry else ""
    return f"{entry.get('type', 'any')}{unit} {', '.join(limits)}".strip()


def status_page(plugins: Plugins, verified: dict[str, dict[str, Any]], not_there: dict[str, str]) -> str:
    """The page that says what each plugin was verified against, on which device, and what is missing."""
    parts = [
        "# Status\n",
        NOTE,
        "What there is, what each part was verified against, and on which device that was run. Every part also passes the",
        "contract tests of its kind (`firstlight.testing`); *contract* alone means that nothing else was compared.\n",
    ]
    for kind, found in plugins.items():
        parts.append(f"## {kind.capitalize()}\n")
        parts.append("| name | what it does | bodies | verified against | run on | test |\n|---|---|---|---|---|---|")
        parts += [status_row(kind, name, plugin, verified.get(kind, {}).get(name)) for name, plugin in found.items()]
        parts.append("")
    parts.append("## Not there\n")
    parts += [f"- **{name}**: {why}." for name, why in not_there.items()]
    return "\n".join([*parts, ""])


def status_row(kind: str, name: str, plugin: Any, entry: dict[str, str] | None) -> str:
    """One row of the status page."""
    model = getattr(plugin, "step", plugin)
    missing = isinstance(plugin, MissingExtra)
    summary = "(its extra was not installed)" if missing else description(model).partition("\n")[0]
    bodies = ", ".join(device.upper() for device in getattr(model, "bodies", ()) or ("cpu",))
    told = entry or {"against": "contract", "test": ""}
    test = f"`{told['test']}`" if told["test"] else ""
    where = told.get("device", "CPU")
    return f"| [{name}]({kind}.md#{anchor(name)}) | {summary} | {bodies} | {told['against']} | {where} | {test} |"


def anchor(name: str) -> str:
    """The anchor that MkDocs gives a heading."""
    return name.lower().replace(" ", "-")


if __name__ == "__main__":
    sys.exit(main())
