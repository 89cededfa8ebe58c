"""What MkDocs does beside its own work: files outside doc/ that the pages link to.

Documents and pictures of the repository become part of the site. Links to code, which has no page,
become their text.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.rst", "LICENSE", "resource/demo.png")
"""Files of the repository that the site holds under the same names."""

README = "index.md"
"""The page that stands for the README."""

_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s#]*)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files from outside."""
    for name in OUTSIDE:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn the links of the repository into those of the site."""
    source = page.file.src_uri
    folder = posixpath.dirname(source if source in OUTSIDE else f"doc/{source}")

    def rewrite(link: re.Match[str]) -> str:
        sign, text, target, anchor = link.groups()
        if not target or ":" in target:
            return link[0]
        path = posixpath.normpath(posixpath.join(folder, target))
        place = README if path == "README.md" else path.removeprefix("doc/")
        if files.get_file_from_path(place) is None:
            # What is neither in doc/ nor outside of it is a mistake, which MkDocs then reports.
            return text if (ROOT / path).exists() else link[0]
        site = posixpath.relpath(place, posixpath.dirname(source) or ".")
        return f"{sign}[{text}]({site}{anchor or ''})"

    return _LINK.sub(rewrite, markdown)
