"""The page of an evaluation: what it says, and that it is whole HTML that needs nothing else."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from stereo_depth_ros.colour_scale import UNKNOWN
from stereo_depth_ros.evaluation.evaluate import Score
from stereo_depth_ros.evaluation.gallery import ERROR, Gallery
from stereo_depth_ros.evaluation.metrics import Share, accuracy, sparsification
from stereo_depth_ros.evaluation.page import as_html
from stereo_depth_ros.evaluation.report import COLUMNS, CONFIDENCE_COLUMNS, FAULTS
from stereo_depth_ros.evaluation.terms import MEANINGS

TRUTH = np.broadcast_to(np.linspace(5, 60, 64, dtype=np.float32), (48, 64)).copy()
TRUTH[:8] = np.nan
CONFIDENCE = np.full(TRUTH.shape, 0.5, np.float32)
CONFIDENCE[8:16] = 0
IMAGE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


class Page(HTMLParser):
    """Texts of tables by rows, tags that were left open, anchors, links and URLs."""

    VOID = frozenset({"meta", "img", "path", "polyline"})

    def __init__(self, text):
        super().__init__()
        self.open, self.tables, self.ids, self.links, self.sources = [], [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if "id" in attributes:
            self.ids.append(attributes["id"])
        self.links += [attributes["href"]] if "href" in attributes else []
        self.sources += [attributes["src"]] if "src" in attributes else []
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("*" if attributes.get("class") == "best" else "")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & set(self.open) and self.tables[-1][-1]:
            self.tables[-1][-1][-1] += data


def make_score(model, sample, error, **more):
    disparity = TRUTH + np.float32(error)
    raw = np.where(CONFIDENCE > 0, disparity, np.float32(np.nan))
    judged = sparsification(disparity, CONFIDENCE, TRUTH)
    score = Score(
        *(model, sample, accuracy(disparity, TRUTH), accuracy(raw, TRUTH)),
        *(None, None, judged, None, None, 1.0),
    )
    return replace(score, **more)


def draw(gallery, model, sample, error):
    gallery(
        SimpleNamespace(name=sample, images=lambda: (IMAGE, IMAGE)),
        model,
        TRUTH + np.float32(error),
        CONFIDENCE,
        TRUTH,
    )


@pytest.fixture(scope="module")
def text():
    gallery = Gallery()
    scores = []
    for sample in ("one", "<two>"):
        for model, error in (("net", 0.75), ("a&b", 1.5)):
            scores.append(make_score(model, sample, error, sky=Share(500, 100 * error)))
            draw(gallery, model, sample, error)
    return as_html(scores, gallery, "Stereo on <data>")


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_page_is_whole_and_needs_no_other_file(text, page):
    assert page.open == []
    assert "http" not in text
    assert not re.search(r"<(script|link|iframe)|url\(|@import", text)
    assert all(source.startswith("data:image/") for source in page.sources)
    for escaped in ("Stereo on &lt;data&gt;", "&lt;two&gt;", "a&amp;b"):
        assert escaped in text


def test_contents_lead_to_every_part(page):
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} == set(page.ids)
    assert page.links[:4] == ["#models", "#pairs", "#terms", "#pictures"]


def test_models_stand_side_by_side_with_the_best_marked(page):
    rows = {row[0]: row[1:] for row in page.tables[0]}

    assert page.tables[0][0] == ["", "net", "a&b"]
    assert rows["sky %"] == ["*75.00", "150.00"]
    assert rows["AUSE / random"] == ["1.00", "1.00"]  # none is the best of equals
    first = next(row for row in page.tables[0] if row[0] == "EPE px")
    assert first == ["EPE px", "*0.75", "1.50"]
    bad = [row for row in page.tables[0] if row[0] in ("bad-0.5 %", "bad-1 %", "bad-2 %")]
    assert bad[:3] == [
        ["bad-0.5 %", "100.00", "100.00"],
        ["bad-1 %", "*0.00", "100.00"],
        ["bad-2 %", "0.00", "0.00"],
    ]
    assert [row[0] for row in page.tables[0] if len(row) == 1] == ["filled", "raw"]


def test_denser_is_better_and_nearer_to_no_error_too():
    scores = [make_score("dense", "one", 1.0), make_score("sparse", "one", 1.0)]
    scores[1] = replace(scores[1], filled=scores[1].raw)

    (density,) = [
        row for row in Page(as_html(scores, Gallery(), "t")).tables[0] if row[0] == "density %"
    ][:1]

    assert density == ["density %", "*100.00", "80.00"]


def test_pairs_stand_one_a_row_and_lead_to_their_pictures(page):
    assert page.tables[1] == [
        ["", "EPE px", "bad-2 %"],
        ["", "net", "a&b", "net", "a&b"],
        ["one", "*0.75", "1.50", "0.00", "0.00"],
        ["<two>", "*0.75", "1.50", "0.00", "0.00"],
    ]


def test_every_figure_of_the_tables_is_explained_once(text):
    explained = re.findall(r"<dt>(.*?)</dt>", text)

    assert explained == [*MEANINGS]
    named = {re.sub(r"^bad-.*", "bad-N", c) for c in (*COLUMNS, *CONFIDENCE_COLUMNS, *FAULTS)}
    assert named | {"filled", "raw", "non-occluded"} == set(MEANINGS)


def test_what_models_share_is_shown_once_a_pair(page, text):
    # Two scales for all pairs; of each pair image, truth and its scale, and three maps a model.
    assert len(page.sources) == 2 + 2 * (3 + 2 * 3)
    assert text.count("left image</figcaption>") == text.count("true disparity</figcaption>") == 2


def test_charts_have_axes_with_units_and_a_line_for_each_model(text):
    charts = re.findall(r"<svg.*?</svg><ul.*?</ul>", text, re.DOTALL)

    assert len(charts) == 2
    for chart in charts:
        assert "pixels kept, the most confident (%)</text>" in chart
        assert "their mean error (px)</text>" in chart
        assert chart.count('<polyline class="own"') == chart.count('<polyline class="best"') == 2
        assert re.findall(r"<li style=\"--hue:\d+\">(.*?)</li>", chart) == ["net", "a&amp;b"]


def test_pictures_show_what_they_say():
    gallery = Gallery()
    draw(gallery, "net", "one", 2.0)

    drawn = gallery.pairs["one"].models["net"]

    def colour(name, row, column=32):
        data = base64.b64decode(drawn[name].partition(",")[2])
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[row, column, ::-1]

    grey, two_px = UNKNOWN, ERROR.paint(np.full((1, 1), 2.0))[0, 0]
    for name, row, expected in (
        ("error", 3, grey),
        ("error", 40, two_px),
        ("confidence", 12, grey),
    ):
        assert np.abs(colour(name, row).astype(int) - expected).max() < 12, name


def test_page_without_pictures_still_has_its_figures():
    page = Page(as_html([make_score("net", "one", 1.0)], Gallery(), "t"))

    assert page.open == []
    assert len(page.sources) == 2
    assert ["EPE px", "1.00"] in page.tables[2]


@pytest.mark.filterwarnings("error")
def test_model_that_answers_nothing_has_no_error():
    score = make_score("net", "one", 1.0)
    nothing = accuracy(np.full(TRUTH.shape, np.nan, np.float32), TRUTH)

    page = Page(as_html([replace(score, raw=nothing)], Gallery(), "t"))

    assert [row for row in page.tables[0] if row[0] == "EPE px"] == [
        ["EPE px", "1.00"],
        ["EPE px", "-"],
    ]
