"""How the page of an evaluation looks, in light and in dark, on any width."""

STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1c1e21;--faint:#5c636b;--line:#d5d9de;
--best:#d9efdc;--light:42%}
@media (prefers-color-scheme:dark){:root{--paper:#15171a;--ink:#e6e8ea;--faint:#9aa1a9;
--line:#363b41;--best:#1f4128;--light:62%}}
*{box-sizing:border-box}
body{font:15px/1.45 system-ui,sans-serif;margin:0 auto;padding:1rem;max-width:74rem;
background:var(--paper);color:var(--ink);overflow-wrap:anywhere}
h1{font-size:1.6rem;margin:.4em 0}h2{font-size:1.25rem;margin:2em 0 .5em}
h3{font-size:1.05rem;margin:2.2em 0 .6em;padding-top:.6em;border-top:1px solid var(--line)}
h4{font-size:1rem;margin:.2em 0}
a{color:inherit;text-decoration-color:var(--faint)}
nav ul{display:flex;flex-wrap:wrap;gap:.2em 1.2em;padding:0;margin:.3em 0;list-style:none}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
td,th{padding:.2em .7em;border-bottom:1px solid var(--line);text-align:right;font-weight:400;
white-space:nowrap}
thead th{vertical-align:bottom;font-weight:600;white-space:normal;min-width:5.5rem;max-width:14rem}
th:first-child{text-align:left}
thead th[colspan]{text-align:center}
tbody th[colspan]{font-weight:600;padding-top:1em}
td.best{font-weight:700;background:var(--best)}
small,figcaption,.unit,.note{color:var(--faint);font-size:.87rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.3em 1em}
dt{font-weight:600}dd{margin:0}
figure{margin:0 0 .8em}img,svg{display:block;width:100%;height:auto}
.shared,.models{display:grid;gap:1rem;
grid-template-columns:repeat(auto-fit,minmax(min(100%,15rem),1fr))}
.models section{display:flex;flex-direction:column;justify-content:flex-end}
.bar{max-width:30rem;margin:.4em 0 1em}.bar img{height:12px}
.ticks{position:relative;height:1.3em;font-size:.8rem}
.ticks span{position:absolute;transform:translateX(-50%);white-space:nowrap}
.ticks span.first{transform:none}.ticks span.last{transform:translateX(-100%)}
.swatch{display:inline-block;width:.8em;height:.8em;border:1px solid var(--faint)}
.chart{max-width:36rem;margin-top:1rem}
svg text{fill:var(--ink);font:13px system-ui,sans-serif}
.grid{stroke:var(--line);fill:none}
polyline{fill:none;stroke:hsl(var(--hue) 70% var(--light));stroke-width:2}
polyline.best{stroke-dasharray:4 4;stroke-width:1.5}
.lines{display:flex;flex-wrap:wrap;gap:.2em 1.2em;list-style:none;padding:0;margin:.3em 0}
.lines li::before{content:"";display:inline-block;width:1.4em;height:0;margin-right:.4em;
vertical-align:middle;border-top:3px solid hsl(var(--hue) 70% var(--light))}
details{margin-top:.6em}summary{cursor:pointer}
@media (max-width:30rem){dl{grid-template-columns:1fr}dd{margin-bottom:.5em}
td,th{padding:.2em .45em}}
"""
