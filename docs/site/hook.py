"""What makes a site of the repository's own pages; called by MkDocs (`mkdocs.yml`)."""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from benchmark.win_rate.rows import RUNS, read_rows
from benchmark.win_rate.summary import experiments, main_experiments, win_rates
from dimix.entry import replay_pipeline, watch_pipeline
from dimix.team.files import zoo_teams

REPO = Path(__file__).resolve().parents[2]
FOLDERS = ("docs", "benchmark", "dizoo")
SHOWN = (".md", ".png", ".js", ".css", ".json")  # of the repository's files: pages, and what they show or link to
GAMES = {
    "MMM_trained": "MMM, a trained team",
    "MMM_random": "MMM, a team that acts at random",
    "terran_10_vs_10_trained": "terran_10_vs_10 of SMACv2, a trained team on teams and starts drawn for the battle",
}
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """All pages at their paths in the repository, with made ones: games and curves."""
    every = [*REPO.glob("*.md"), *(path for name in FOLDERS for path in (REPO / name).rglob("*"))]
    paths = [path.relative_to(REPO).as_posix() for path in every if path.suffix in SHOWN and RUNS not in path.parents]
    found = [File(path, str(REPO), config.site_dir, config.use_directory_urls) for path in sorted(paths)]
    found += [file for file in files if file.generated_by]  # of other plugins
    found += [File.generated(config, f"docs/games/{name}.html", content=text) for name, text in _games().items()]
    found.append(File.generated(config, "docs/site/curves.json", content=json.dumps(_curves(), separators=(",", ":"))))
    theme = [file for file in files if file.src_dir and Path(file.src_dir) != REPO / "docs"]
    return Files([*theme, *found])


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links to code and folders become plain text without a public repository; the gallery gets its games."""
    folder = Path(page.file.src_uri).parent

    def link(found: re.Match[str]) -> str:
        text, target, _ = found.groups()
        path = os.path.normpath(folder / target)
        if files.get_file_from_path(path.replace(os.sep, "/")):
            return found[0]
        if not (REPO / path).exists():
            return found[0]  # MkDocs reports it
        return f"[{text}]({config.repo_url.rstrip('/')}/blob/main/{path})" if config.repo_url else text

    markdown = _LINK.sub(link, markdown)
    if page.file.src_uri == "docs/gallery.md":
        markdown += "\n".join(_frame(name, title) for name, title in _titles().items())
    return markdown


def _titles() -> dict[str, str]:
    return GAMES | {f"zoo_{name}": f"{team.name}, the package's team zoo:{name}" for name, team in zoo_teams().items()}


def _frame(name: str, title: str) -> str:
    return f'\n## {title}\n\n<iframe class="game" loading="lazy" title="{title}" src="../games/{name}.html"></iframe>\n'


def _games() -> dict[str, str]:
    """The pages of recorded games, and of games that the package's teams play now."""
    pages = {}
    with TemporaryDirectory() as folder:
        target = Path(folder) / "game.html"
        for name in GAMES:
            replay_pipeline([REPO / f"docs/replays/{name}.replay"], target)
            pages[name] = target.read_text("utf-8")
        for name in zoo_teams():
            watch_pipeline(f"zoo:{name}", target)
            pages[f"zoo_{name}"] = target.read_text("utf-8")
    return pages


def _curves() -> dict[str, dict[str, Any]]:
    """Win rates of the results' runs: by rules and map, by algorithm, one line per seed."""
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    for (rules, name, algo), one in main_experiments(experiments(read_rows(RUNS))).items():
        lines = [[row["evaluations"]["env_step"], win_rates(row).round(3).tolist()] for row in one.rows]
        found[f"{name} ({rules})"][algo] = lines
    return dict(sorted(found.items()))
