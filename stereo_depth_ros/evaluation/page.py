"""An evaluation as one HTML page that needs no other file."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from stereo_depth_ros.colour_scale import CONFIDENCE, UNKNOWN, ColourScale
from stereo_depth_ros.evaluation.chart import draw_chart
from stereo_depth_ros.evaluation.evaluate import Score
from stereo_depth_ros.evaluation.gallery import ERROR, Gallery, PairPictures, embed
from stereo_depth_ros.evaluation.page_style import STYLE
from stereo_depth_ros.evaluation.report import (
    COLUMNS,
    CONFIDENCE_COLUMNS,
    FAULTS,
    KINDS,
    confidence_medians,
    fault_medians,
    list_numbers,
    medians,
    models_of,
)
from stereo_depth_ros.evaluation.terms import HIGHER_IS_BETTER, MEANINGS, UNITS

_PER_PAIR = ("EPE", "bad-2")
"""The figures of the table of all pairs; the others stand with each."""

Values = Sequence["float | None"]


def as_html(scores: Sequence[Score], gallery: Gallery, title: str) -> str:
    """Return the page: models side by side, pair by pair, what is meant, and pictures of each."""
    samples = list(dict.fromkeys(score.sample for score in scores))
    models = models_of(scores)
    by_pair = {name: {s.model: s for s in scores if s.sample == name} for name in samples}
    links = [f'<a href="#{_anchor(i)}">{_escape(n)}</a>' for i, n in enumerate(samples)]
    heading = _escape(title)
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{heading}</title><style>{STYLE}</style></head><body>",
            f"<h1>{heading}</h1>",
            f"<p>{_escape(', '.join(models))} on {len(samples)} "
            f"pair{'s' if len(samples) != 1 else ''}.</p>",
            '<nav aria-label="Contents"><ul><li><a href="#models">Models side by side</a></li>'
            '<li><a href="#pairs">Pair by pair</a></li><li><a href="#terms">Terms</a></li>'
            '<li><a href="#pictures">Pictures</a></li></ul></nav>',
            '<h2 id="models">Models side by side</h2>',
            '<p class="note">Medians over the pairs. The best of a row is bold on green.</p>',
            _compare_models(scores, models),
            '<h2 id="pairs">Pair by pair</h2>',
            '<p class="note">Of every pixel. The best of a pair is bold on green; its name leads '
            "to its pictures.</p>",
            _compare_pairs(by_pair, models, links),
            '<h2 id="terms">Terms</h2>',
            _explain_terms(),
            '<h2 id="pictures">Pictures</h2>',
            _explain_pictures(),
            *(
                _show_pair(_anchor(index), name, by_pair[name], gallery.pairs.get(name))
                for index, name in enumerate(samples)
            ),
            "</body></html>\n",
        ]
    )


def _escape(text: str) -> str:
    return html.escape(text)


def _anchor(index: int) -> str:
    return f"pair-{index}"


def _compare_models(scores: Sequence[Score], models: Sequence[str]) -> str:
    """Return a table with a column for each model, of medians over the pairs in ``scores``."""
    body = []
    for kind, title in KINDS.items():
        columns: list[Values] = [medians(scores, model, kind) for model in models]
        if not any(columns):
            continue
        body.append(f'<tr><th colspan="{1 + len(models)}">{_escape(title)}</th></tr>')
        rows = zip(*(c or [None] * len(COLUMNS) for c in columns), strict=True)
        body += [_row(name, values) for name, values in zip(COLUMNS, rows, strict=True)]
        if kind == "filled":
            judged = zip(*(confidence_medians(scores, model) for model in models), strict=True)
            body += [_row(n, values) for n, values in zip(CONFIDENCE_COLUMNS, judged, strict=True)]
            faults = [fault_medians(scores, model) for model in models]
            body += [_row(name, [one[name] for one in faults]) for name in FAULTS]
    heads = "".join(f"<th>{_escape(model)}</th>" for model in models)
    return _table(f"<tr><th></th>{heads}</tr>", body)


def _compare_pairs(
    by_pair: Mapping[str, Mapping[str, Score]], models: Sequence[str], links: Sequence[str]
) -> str:
    """Return a table with a row for each pair."""
    heads = [f'<th colspan="{len(models)}">{_name(figure)}</th>' for figure in _PER_PAIR]
    names = "".join(f"<th>{_escape(model)}</th>" for model in models) * len(_PER_PAIR)
    body = []
    for scores, link in zip(by_pair.values(), links, strict=True):
        cells = ""
        for figure in _PER_PAIR:
            place = COLUMNS.index(figure)
            values = [list_numbers(scores[model].filled)[place] for model in models]
            cells += _cells(figure, values)
        body.append(f"<tr><th>{link}</th>{cells}</tr>")
    return _table(f"<tr><th></th>{''.join(heads)}</tr><tr><th></th>{names}</tr>", body)


def _row(figure: str, values: Values) -> str:
    return f"<tr><th>{_name(figure)}</th>{_cells(figure, values)}</tr>"


def _name(figure: str) -> str:
    unit = UNITS.get(figure, "%")
    return f"{_escape(figure)}{unit and f' <span class=unit>{unit}</span>'}"


def _cells(figure: str, values: Values) -> str:
    """Return cells of values that compete, the best of them marked."""
    texts = ["-" if value is None or np.isnan(value) else f"{value:.2f}" for value in values]
    known = [float(text) for text in texts if text != "-"]
    better = max if figure in HIGHER_IS_BETTER else min
    # Where all are equal none is the best.
    best = f"{better(known):.2f}" if len(set(known)) > 1 else ""
    marks = [' class="best"' if text == best else "" for text in texts]
    return "".join(f"<td{mark}>{text}</td>" for mark, text in zip(marks, texts, strict=True))


def _table(head: str, body: Iterable[str]) -> str:
    lines = "\n".join(body)
    return f'<div class="wide"><table><thead>{head}</thead><tbody>{lines}</tbody></table></div>'


def _explain_terms() -> str:
    lines = [f"<dt>{_escape(n)}</dt><dd>{_escape(m)}</dd>" for n, m in MEANINGS.items()]
    return f"<dl>{''.join(lines)}</dl>"


def _explain_pictures() -> str:
    """Return what is the same with every pair."""
    return (
        "<p>Of each pair the left image and the true disparity, then of each model its disparity "
        "in the same colours, its error and its confidence. The chart shows the mean error of the "
        "pixels that are left as the least confident are removed (solid), and as those of the "
        "largest error are removed (dashed), which is the best that a confidence can do.</p>"
        f"<p>{_swatch()} unknown: no truth, or a confidence of 0</p>"
        f"<div>error; {ERROR.high:g} px and more are of one colour{_bar(ERROR)}</div>"
        f"<div>confidence{_bar(CONFIDENCE)}</div>"
    )


def _swatch() -> str:
    return f'<span class="swatch" style="background:rgb{UNKNOWN}"></span>'


def _bar(scale: ColourScale) -> str:
    values = np.linspace(scale.low, scale.high, 256)[None].repeat(8, axis=0)
    parts = [f'<div class="bar"><img alt="" src="{embed(scale.paint(values))}">']
    for tick in scale.ticks:
        percent = 100 * float(scale.locate(tick))
        end = "first" if percent < 5 else "last" if percent > 95 else ""
        text = f"{tick:g} {scale.unit}".strip()
        parts.append(f'<span class="{end}" style="left:{percent:.1f}%">{text}</span>')
    return f'{parts[0]}<div class="ticks">{"".join(parts[1:])}</div></div>'


def _show_pair(
    anchor: str, name: str, scores: Mapping[str, Score], pictures: PairPictures | None
) -> str:
    parts = [f'<h3 id="{anchor}">{_escape(name)}</h3>']
    if pictures is not None:
        shared = _figure(pictures.left, "left image") + _figure(pictures.truth, "true disparity")
        parts.append(
            f'<div class="shared">{shared}</div>{_bar(pictures.scale)}<div class="models">'
        )
        for model, drawn in pictures.models.items():
            figures = "".join(_figure(url, what) for what, url in drawn.items())
            parts.append(f"<section><h4>{_escape(model)}</h4>{figures}</section>")
        parts.append("</div>")
    curves = {model: score.confidence for model, score in scores.items()}
    parts.append(f'<div class="chart">{draw_chart(curves)}</div>')
    figures = _compare_models(list(scores.values()), list(scores))
    parts.append(f"<details><summary>All figures</summary>{figures}</details>")
    return "\n".join(parts)


def _figure(url: str, caption: str) -> str:
    return (
        f'<figure><img loading="lazy" src="{url}" alt="{_escape(caption)}">'
        f"<figcaption>{_escape(caption)}</figcaption></figure>"
    )
