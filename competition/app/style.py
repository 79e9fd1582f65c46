"""The page's look: one light style sheet on system fonts, from a phone's width to a desk's."""

from competition.report.style import BLUE, INK, MUTED, RED, RULE

FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif"]
MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]

COLOURS = {"ink": INK, "muted": MUTED, "rule": RULE, "ai": RED, "human": BLUE, "paper": "#f6f7f9"}
CSS = ":root { color-scheme: light; " + " ".join(f"--tt-{name}: {value};" for name, value in COLOURS.items()) + " }"
CSS += """
html, body, gradio-app, .gradio-container { background: var(--tt-paper) !important; color: var(--tt-ink); }
.gradio-container { max-width: 1080px !important; width: 100% !important; margin: 0 auto !important; }
.gradio-container .main { padding: 0 16px !important; } .gradio-container main { padding: 0 !important; }
.gradio-container .gap, .gradio-container .column { gap: 0 !important; }
.gradio-container .block:has(> .html-container), .gradio-container .html-container { padding: 0 !important;
  border: 0 !important; background: none !important; box-shadow: none !important; overflow: visible !important; }
footer { display: none !important; }

.tt-title { padding: 40px 0 18px; }
.tt-title h1 { font-size: clamp(27px, 5vw, 38px); font-weight: 680; letter-spacing: -.022em; line-height: 1.12;
  margin: 0 0 10px; color: var(--tt-ink); }
.tt-title span { white-space: nowrap; }
.tt-title p { font-size: 16.5px; line-height: 1.5; color: var(--tt-muted); margin: 0; max-width: 44em; }

#tt-drop { border: 1.5px dashed #c3c9d1 !important; border-radius: 14px !important; background: #fff !important;
  box-shadow: none !important; overflow: hidden; }
#tt-drop:hover, #tt-drop:focus-within { border-color: var(--tt-human) !important; }
#tt-drop button { min-height: 150px; color: var(--tt-ink); }
.tt-small, .tt-limits { font-size: 13.5px; line-height: 1.5; color: var(--tt-muted); margin: 8px 2px 0; }

.tt-status { display: flex; align-items: center; gap: 10px; margin: 18px 2px 0; font-size: 15px;
  color: var(--tt-muted); overflow-wrap: anywhere; }
.tt-status::before { content: ""; flex: none; width: 13px; height: 13px; border-radius: 50%;
  border: 2px solid var(--tt-rule); border-top-color: var(--tt-human); animation: tt-turn .9s linear infinite; }
.tt-status.tt-done::before { display: none; }
@keyframes tt-turn { to { transform: rotate(360deg); } }
@media (prefers-reduced-motion: reduce) { .tt-status::before { animation: none; } }

.tt-card, .tt-about { background: #fff; border: 1px solid var(--tt-rule); border-radius: 16px; padding: 26px 28px;
  margin: 18px 0 0; color: var(--tt-ink); font-size: 15.5px; line-height: 1.55;
  box-shadow: 0 1px 2px rgba(27, 31, 36, .04); }
.tt-card { --side: var(--tt-muted); border-top: 4px solid var(--side); }
.tt-signed { --side: var(--tt-muted); margin: 12px 0 16px; padding: 10px 14px;
  border-left: 4px solid var(--side); overflow-wrap: anywhere; }
.tt-signed b, .tt-signed small { display: block; font-size: 13.5px; } .tt-signed small { color: var(--tt-muted); }
.tt-ai { --side: var(--tt-ai); } .tt-human { --side: var(--tt-human); }
.tt-file { font-size: 13.5px; color: var(--tt-muted); margin: 0; overflow-wrap: anywhere; }
.tt-card h2 { font-size: clamp(30px, 6vw, 42px); font-weight: 700; letter-spacing: -.025em; line-height: 1.15;
  margin: 2px 0 4px; color: var(--side); }
.tt-refused h2 { font-size: 22px; color: var(--tt-ink); } .tt-refused p:last-child { margin: 4px 0 0; }
.tt-card h3 { font-size: 16px; font-weight: 650; margin: 26px 0 8px; color: var(--tt-ink); }
.tt-near { margin: 0; }

.tt-bar { position: relative; height: 12px; border-radius: 6px; margin: 24px 0 8px; background: #edf0f3; }
.tt-fill { position: absolute; inset: 0 auto 0 0; border-radius: 6px; background: var(--side); min-width: 3px; }
.tt-mark { position: absolute; top: -6px; bottom: -6px; width: 2px; margin-left: -1px; background: var(--tt-ink);
  outline: 2px solid #fff; }
.tt-scale { display: flex; justify-content: space-between; gap: 12px; margin: 0; font-size: 13.5px;
  color: var(--tt-muted); text-align: center; }
.tt-scale b { color: var(--tt-ink); font-variant-numeric: tabular-nums; }

.tt-pictures { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 20px; margin: 26px 0 0; }
.tt-pictures figure { margin: 0; min-width: 0; }
.tt-pictures img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; background: #f1f3f5;
  border-radius: 10px; margin: 0; }
.tt-pictures .tt-tiny { image-rendering: pixelated; }
.tt-pictures figcaption { font-size: 13.5px; line-height: 1.5; color: var(--tt-muted); margin: 10px 0 0; }
.tt-pictures figcaption b { display: block; color: var(--tt-ink); font-size: 14.5px; }

.tt-scroll { overflow-x: auto; }
.tt-card table { border-collapse: collapse; width: 100%; font-size: 14.5px; margin: 0; }
.tt-card th, .tt-card td { text-align: left; padding: 8px 14px 8px 0; border: 0;
  border-bottom: 1px solid var(--tt-rule); font-weight: 400; vertical-align: top; background: none; }
.tt-card thead th { color: var(--tt-muted); font-size: 13px; white-space: nowrap; }
.tt-card th small { display: block; color: var(--tt-muted); font-size: 12.5px; }
.tt-card td { font-variant-numeric: tabular-nums; white-space: nowrap; }
.tt-card td i { font-style: normal; font-size: 11px; }
.tt-vote-ai { color: #a64500; } .tt-vote-human { color: var(--tt-human); }

.tt-card details { margin: 22px 0 0; }
.tt-card summary { cursor: pointer; font-weight: 650; font-size: 16px; color: var(--tt-ink); }
.tt-card .tt-facts { margin: 10px 0 0; }
.tt-card .tt-facts th { color: var(--tt-muted); width: 34%; overflow-wrap: anywhere; }
.tt-card .tt-facts td { white-space: normal; overflow-wrap: anywhere; }

.tt-about { background: none; box-shadow: none; border: 0; border-top: 1px solid var(--tt-rule); border-radius: 0;
  margin: 44px 0 0; padding: 26px 2px 48px; }
.tt-about h2 { font-size: 18px; font-weight: 650; margin: 0 0 10px; color: var(--tt-ink); }
.tt-about p { margin: 0 0 10px; max-width: 46em; } .tt-about ul { margin: 0 0 10px; padding-left: 20px; }
.tt-about li { list-style: disc; overflow-wrap: anywhere; }

.tt-programs { margin: -24px 2px 48px; color: var(--tt-ink); font-size: 15px; line-height: 1.55; }
.tt-programs summary { cursor: pointer; font-weight: 650; }
.tt-programs pre { font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; white-space: pre-wrap;
  overflow-wrap: anywhere; background: #edf0f3; border-radius: 8px; padding: 10px 12px; margin: 10px 0 0; }
.tt-programs p { max-width: 46em; margin: 10px 0 0; } .tt-programs code { font-size: 13.5px; }

@media (max-width: 720px) {
  .tt-title { padding: 26px 0 14px; }
  .tt-card { padding: 20px 18px; border-radius: 14px; }
  .tt-pictures { grid-template-columns: minmax(0, 1fr); gap: 24px; }
  .tt-scale { flex-wrap: wrap; } .tt-figures { order: 3; width: 100%; font-size: 15px; }
}
"""
