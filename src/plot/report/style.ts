import { fontFamily, type PageColors, pageColors } from "../theme.js";

function properties(colors: PageColors): string {
  return Object.entries(colors)
    .map(([name, value]) => `--${name}:${value};`)
    .join("");
}

/** The report's style sheet: light and dark as the reader has it, light on paper. */
export const reportStyle = `
:root{color-scheme:light dark;${properties(pageColors.light)}}
@media screen and (prefers-color-scheme:dark){:root{${properties(pageColors.dark)}}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 ${fontFamily.replaceAll('"', "'")}}
header,main,footer{max-width:60rem;margin:0 auto;padding:0 1rem}
h1{font-size:1.6rem;line-height:1.25;margin:1.5rem 0 .5rem;overflow-wrap:anywhere}
h2{font-size:1.25rem;margin:2.5rem 0 .5rem;padding-bottom:.25rem;border-bottom:1px solid var(--line)}
h3{font-size:1rem;margin:1.5rem 0 .25rem}
p,ul{margin:.5rem 0}
ul{padding-left:1.25rem}
.finding{font-size:1.15rem;font-weight:600}
.muted,figcaption .muted{color:var(--muted);font-weight:400}
.good{color:var(--good)}.bad{color:var(--bad)}
a{color:var(--accent)}
nav ul{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;list-style:none;padding:0;margin:1rem 0}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
figure{margin:1.75rem 0}
figcaption{font-weight:600;margin-bottom:.25rem}
.plot{width:100%;overflow:hidden}
.scroll{overflow-x:auto;max-width:100%}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.875rem}
th,td{padding:.2rem .75rem .2rem 0;text-align:right;vertical-align:top;white-space:nowrap}
th:first-child,td.text{text-align:left}
td.text{white-space:normal;overflow-wrap:anywhere;min-width:8rem}
thead th{border-bottom:1px solid var(--muted);background:var(--raised)}
tbody th{font-weight:400}
tbody tr{border-bottom:1px solid var(--line)}
tr.strong>*{font-weight:600}
th.in1{padding-left:1rem}th.in2{padding-left:2rem}
dl{display:grid;grid-template-columns:minmax(8rem,max-content) 1fr;gap:.2rem 1.25rem;margin:.5rem 0;font-size:.9375rem}
dt{color:var(--muted)}dd{margin:0;overflow-wrap:anywhere}
code,pre{font:.85em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
pre{background:var(--raised);padding:.75rem;overflow-x:auto;white-space:pre-wrap;overflow-wrap:anywhere;border-radius:4px}
/* A line ends between words, not after the hyphens of an option. */
pre span{display:inline-block;max-width:100%}
details{margin:.35rem 0}
summary{cursor:pointer;color:var(--accent);font-size:.875rem}
button{font:inherit;font-size:.875rem;padding:.35rem .9rem;border:1px solid var(--muted);border-radius:4px;background:var(--raised);color:var(--ink);cursor:pointer}
footer{margin:3rem auto 2rem;color:var(--muted);font-size:.875rem}
@media(max-width:32rem){dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.5rem}}
@media print{
body{font-size:10pt}header,main,footer{max-width:none;padding:0}
nav,button,.plot+details{display:none}
figure,tr{break-inside:avoid}h2,h3{break-after:avoid}
.scroll{overflow:visible}
}
`;
