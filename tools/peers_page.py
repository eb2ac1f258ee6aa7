"""Write the tables of docs/how-to/coming-from-savu-httomo-tofu-tomopy.md from src/firstlight/compat/names."""

from __future__ import annotations

from pathlib import Path

from firstlight.compat.tables import Row, tables

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "coming-from-savu-httomo-tofu-tomopy.md"
START, END = "<!-- tables: written by tools/peers_page.py -->", "<!-- end of tables -->"


def _several(ours: str) -> str:
    return " and ".join(f"`{each}`" for each in ours.split())


def line(row: Row) -> str:
    """One row of a table."""
    renamed = [f"`{theirs}` → {_several(ours)}" for theirs, ours in row.parameters.items() if theirs != ours]
    same = [f"`{theirs}`" for theirs, ours in row.parameters.items() if theirs == ours]
    fixed = [f"`{name}: {value}`" for name, value in row.set.items()]
    usual = [f"`{name} = {value}`" for name, value in row.defaults.items()]
    differs = [row.note] if row.note else []
    if usual:
        differs.append(f"unless told otherwise {', '.join(usual)} there")
    return f"| `{row.name}` | `{row.ours}` | {', '.join([*same, *renamed, *fixed])} | {'; '.join(differs)} |"


def write() -> None:
    """Put the tables between their marks."""
    parts: list[str] = []
    for rows in tables().values():
        parts += [f"\n### {rows[0].program}\n", "| theirs | ours | parameters | what differs |", "|---|---|---|---|"]
        parts += [line(row) for row in rows]
    text = PAGE.read_text(encoding="utf-8")
    head, tail = text.split(START)[0], text.split(END)[1]
    PAGE.write_text(f"{head}{START}\n" + "\n".join(parts) + f"\n\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    write()
