"""The looks of the report: colours of the pages (web/src/theme), light and dark by what the reader's system prefers. Called by page."""

CSS = """
:root{color-scheme:light dark;--bg:#fff;--raised:#f6f8f9;--fg:#15191c;--muted:#55606a;--line:#d5dbdf;--accent:#0b7285;--ok:#1f7a45;--bad:#c22a2a;
--warn:#8f5600;--okbg:#e9f6ee;--badbg:#fdeeee;--then:#b9c2c9;--now:#0072b2;--nowbad:#d55e00;
--font:system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Liberation Sans",sans-serif;
--mono:ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace}
@media(prefers-color-scheme:dark){:root{--bg:#14181b;--raised:#1c2226;--fg:#e8ecee;--muted:#a3adb5;--line:#343c42;--accent:#3bc9db;--ok:#5fcf8e;
--bad:#ff8a80;--warn:#f0b347;--okbg:#16291f;--badbg:#331d1d;--then:#56616a;--now:#3d9ad6;--nowbad:#e8762c}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.5 var(--font);font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
main,header.top{max-width:1080px;margin:0 auto;padding:0 20px}
header.top{display:flex;justify-content:space-between;gap:12px;padding-top:18px;color:var(--muted);font-size:13px}
header.top b{color:var(--fg)}
h1{font-size:24px;line-height:1.25;margin:0;font-weight:650;letter-spacing:-.01em}
h2{font-size:17px;margin:36px 0 10px;font-weight:650}
p{margin:6px 0}
.muted{color:var(--muted)}.small{font-size:13px}
.verdict{margin:14px 0 18px;padding:20px 22px;border-radius:12px;border:1px solid var(--line);border-left:6px solid var(--ok);
background:var(--okbg)}
.verdict.alarm{border-left-color:var(--bad);background:var(--badbg)}
.verdict .word{display:inline-flex;align-items:center;gap:8px;font-weight:700;font-size:13px;letter-spacing:.06em;text-transform:uppercase;
color:var(--ok)}
.verdict.alarm .word{color:var(--bad)}
.verdict ul{margin:12px 0 0;padding-left:20px}
.verdict li{margin:5px 0}
.verdict .small{margin-top:12px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(215px,1fr));gap:12px}
.tile{border:1px solid var(--line);border-radius:10px;background:var(--raised);padding:14px 16px;min-width:0}
.tile h3{margin:0;font-size:13px;font-weight:600;color:var(--muted)}
.tile .big{font-size:19px;font-weight:650;margin:2px 0 8px}
.big.bad{color:var(--bad)}.big.ok{color:var(--ok)}
.tile p{font-size:13px;color:var(--muted);margin:8px 0 0}
svg{display:block;max-width:100%}sup{line-height:0}.scroll>svg{min-width:640px}
.measures td,.measures th{white-space:nowrap;overflow-wrap:normal}.measures svg{max-width:none;min-width:180px}
.measures .muted{display:block;font-size:12px}
.scroll{overflow-x:auto}
.key{display:flex;flex-wrap:wrap;gap:4px 18px;color:var(--muted);font-size:13px;margin:0 0 10px}
.key i{display:inline-block;width:12px;height:12px;border-radius:2px;margin-right:6px;vertical-align:-1px}
.col{border:1px solid var(--line);border-radius:10px;margin:0 0 6px;background:var(--bg)}
.col.bad{border-left:4px solid var(--bad)}
.col>summary{display:grid;grid-template-columns:minmax(150px,1.4fr) 216px minmax(170px,1fr) 118px 16px;gap:10px 20px;align-items:center;
padding:7px 14px;cursor:pointer;list-style:none}
.col>summary::-webkit-details-marker{display:none}
.col>summary::after{content:"";width:7px;height:7px;border:solid var(--muted);border-width:0 2px 2px 0;transform:rotate(45deg);justify-self:end;
margin-bottom:4px}
.col[open]>summary::after{transform:rotate(225deg);margin-bottom:-4px}
.col>summary:hover{background:var(--raised);border-radius:10px}
.col>summary:focus-visible{outline:2px solid var(--accent);outline-offset:2px;border-radius:10px}
.name{font-weight:600}
.name .says{display:block;font-weight:400;color:var(--muted);font-size:13px}
.chip{display:inline-block;font-size:11.5px;font-weight:600;border:1px solid var(--line);border-radius:99px;padding:0 8px;line-height:18px;
color:var(--muted);margin-left:4px;white-space:nowrap}
.chip.bad{color:var(--bad);border-color:var(--bad)}
.psi{font-size:13px;text-align:right}
.psi .muted{display:block;font-size:12px}
.gauge .muted{display:block;font-size:12px;margin-top:2px}
.body{padding:2px 16px 14px;border-top:1px solid var(--line)}
table{border-collapse:collapse;width:100%;font-size:13.5px}
th{font-weight:600;color:var(--muted);text-align:left;font-size:12.5px}
th,td{padding:5px 12px 5px 0;border-bottom:1px solid var(--line);vertical-align:middle}
tr:last-child>td{border-bottom:0}
.n{text-align:right;white-space:nowrap}
.up{color:var(--fg);font-weight:650}
.body table{max-width:560px;margin-top:6px}
ul.plain{padding-left:20px;margin:6px 0}
footer{max-width:1080px;margin:36px auto 0;padding:14px 20px 40px;border-top:1px solid var(--line);color:var(--muted);font-size:13px}
.axis{fill:var(--muted);font:11px var(--font)}
@media(max-width:760px){.axis{font-size:16px}main,header.top,footer{padding-left:14px;padding-right:14px}h1{font-size:20px}.verdict{padding:16px}
.col>summary{grid-template-columns:minmax(0,1fr) auto 14px;gap:8px 12px}.col>summary>.name{grid-column:1/3}.col>summary::after{grid-column:3;
grid-row:1}
.col>summary>.hist{grid-column:1/4;grid-row:2}.col>summary>.gauge{grid-column:1;grid-row:3}.col>summary>.psi{grid-column:2/4;grid-row:3}
.hist svg{width:100%}}
@media print{.col{break-inside:avoid}body{font-size:12px}}
"""
