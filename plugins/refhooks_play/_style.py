"""How the page looks."""

from __future__ import annotations

from typing import Any

import gradio as gr

__all__ = ["CSS", "THEME"]

CSS = """
.gradio-container { width: 100%; max-width: 1240px !important; margin: 0 auto !important; }
.gradio-container .main, .gradio-container .wrap { width: 100%; }
.block:has(> .html-container > .prose:empty) { display: none; }
.refused { border-left: 4px solid #d00; padding: .3em .7em; margin: .3em 0; }
.told { padding: .3em 0; margin: 0; }
.stage { align-items: end; }
.pixels img { image-rendering: pixelated; }
button[role=tab][aria-selected=true] { color: #0b5cad !important; }
#lanes h4 { font-size: 1rem; }
*:focus-visible { outline: 3px solid #0072B2 !important; outline-offset: 1px; }
/* The label and the buttons of a picture stand above it, not on it. */
.picture > label.float { position: static; width: fit-content; margin-bottom: .3rem; }
.picture .image-container { height: calc(100% - 2.1rem); overflow: visible; }
.picture .icon-button-wrapper.top-panel { top: -2.1rem; }
.picture .image-container > button { overflow-x: auto; }
#advice { overflow-x: auto !important; }
@media (max-width: 600px) {
  .stage .block { flex-grow: 1 !important; }
  .wide .image-container > button { display: block; width: 100%; }
  .wide .image-frame { display: block; }
  .wide .image-frame img { min-width: 640px; max-width: none; }
  #advice th, #advice td { padding: .25rem .3rem; font-size: .75rem; overflow-wrap: break-word; }
  #painting { height: 440px !important; }
  #painting .toolbar-wrap { flex-direction: row; width: max-content; height: auto; top: auto;
    bottom: 6px; left: 50%; transform: translateX(-50%); }
  #painting .half-container { flex-direction: row; width: auto; height: auto; gap: 6px; }
}
"""


def THEME() -> Any:  # noqa: N802  it is made where gradio is there
    """Return how the page looks: with the fonts of whoever looks at it."""
    fonts = ["system-ui", "sans-serif"]
    theme = gr.themes.Base(
        primary_hue="blue", neutral_hue="slate", font=fonts, font_mono=["ui-monospace", "monospace"]
    )
    return theme.set(
        button_primary_background_fill="#0b5cad", button_primary_background_fill_hover="#084a8c",
        button_primary_text_color="white", block_label_text_color="*neutral_800",
        block_title_text_color="*neutral_800", block_info_text_color="*neutral_700",
        input_placeholder_color="*neutral_600", body_text_color_subdued="*neutral_600",
    )  # fmt: skip
