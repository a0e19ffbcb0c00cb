"""The colours: text holds 4.5:1 against its ground, graphics 3:1 (WCAG 2.2, 1.4.3 and 1.4.11)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CSS = (Path(__file__).resolve().parents[2] / "web" / "src" / "theme" / "tokens.css").read_text(encoding="utf-8")
LIGHT, DARK = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in CSS.split(":root[data"))
SCHEMES = {"light": LIGHT, "dark": LIGHT | DARK}
TEXT = ["fg", "muted", "accent", "ok", "warn", "bad", "info"]


def luminance(colour: str) -> float:
    """Relative luminance. Source: WCAG 2.2, definition "relative luminance"."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_contrast_agrees_with_the_known_extremes() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("ground", ["bg", "raised"])
@pytest.mark.parametrize("name", TEXT)
def test_text_can_be_read(scheme: str, ground: str, name: str) -> None:
    colours = SCHEMES[scheme]

    assert contrast(colours[name], colours[ground]) >= 4.5


@pytest.mark.parametrize("scheme", SCHEMES)
def test_controls_can_be_seen(scheme: str) -> None:
    colours = SCHEMES[scheme]

    assert contrast(colours["on-accent"], colours["accent"]) >= 4.5
    assert contrast(colours["control"], colours["bg"]) >= 3
