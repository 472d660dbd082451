"""Write the table of values into each chart's README: `python charts/document.py charts/*/`.

The descriptions are the `# -- ` comments of values.yaml, the defaults are the values themselves.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

BEGIN = "<!-- values: written by charts/document.py -->"
END = "<!-- end of values -->"

KEY = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z][\w-]*):")


def descriptions(text: str) -> dict[tuple[str, ...], str]:
    """The comment that begins with `# -- ` above each key, by the key's path."""
    found: dict[tuple[str, ...], str] = {}
    path: list[str] = []
    pending: list[str] = []
    for line in text.splitlines():
        comment = line.strip()
        if comment.startswith("# -- "):
            pending = [comment.removeprefix("# -- ")]
        elif comment.startswith("#") and pending:
            pending.append(comment.lstrip("# "))
        elif match := KEY.match(line):
            path = [*path[: len(match["indent"]) // 2], match["key"]]
            if pending:
                found[tuple(path)] = " ".join(pending)
            pending = []
    return found


def rows(
    values: Mapping[str, object], described: Mapping[tuple[str, ...], str], above: tuple[str, ...] = ()
) -> Iterator[tuple[str, str, str]]:
    """Key, default and description of every value; a described map is one row.

    Raises:
        SystemExit: a value that nothing describes.
    """
    for key, value in values.items():
        path = (*above, key)
        if path in described:
            yield ".".join(path), _default(value), described[path]
        elif isinstance(value, dict) and value:
            yield from rows(value, described, path)
        else:
            raise SystemExit(f"values.yaml: nothing describes {'.'.join(path)}")


def _default(value: object) -> str:
    """A value as JSON; a whole text would burst the table."""
    lines = value.splitlines() if isinstance(value, str) else []
    return f"{len(lines)} lines in values.yaml" if len(lines) > 1 else json.dumps(value)


def table(text: str) -> str:
    """The values as a Markdown table."""
    lines = ["| value | default | what it is |", "|---|---|---|"]
    for key, default, says in rows(yaml.safe_load(text), descriptions(text)):
        lines.append(f"| `{key}` | `{default}` | {says.replace('|', '&#124;')} |")
    return "\n".join(lines)


def documented(chart: Path) -> str:
    """The chart's README with the table of its present values."""
    readme = (chart / "README.md").read_text(encoding="utf-8")
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    values = table((chart / "values.yaml").read_text(encoding="utf-8"))
    return f"{before}{BEGIN}\n{values}\n{END}{after}"


if __name__ == "__main__":
    for directory in map(Path, sys.argv[1:]):
        (directory / "README.md").write_text(documented(directory), encoding="utf-8")
