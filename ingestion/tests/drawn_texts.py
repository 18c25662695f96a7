"""Texts that Hypothesis draws: pages of many blocks and scripts, and text that no tokenizer was made for."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from ingestion.extraction_types import Page

# Time says nothing about a law: a loaded machine may draw its examples slowly.
LAW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])

words = st.sampled_from(
    [
        "Claim",
        "within",
        "thirty",
        "days.",
        "Dr.",
        "Straße",
        "大学图书馆",
        "开放时间。",
        "「はい。」",
        "ห้องสมุด",
        "น้ำเปล่า",
        "បណ្ណាល័យ។",
        "ຫໍສະໝຸດ",
        "الجامعة",
        "ספרייה\u200f.",
        "क्षत्रिय",
        "e\u0301",
        "\u1112\u1161\u11ab",
        "👩‍👧",
        "👍🏽",
        "🇫🇷🇩🇪",
        "HR-12",
        "a" * 90,
    ]
)
prose = st.lists(words, min_size=1, max_size=120).map(" ".join)
gaps = st.sampled_from(["\n\n", "\n", "\n\n\n", " \n\n", "\n \n"])
blocks = st.one_of(
    prose,
    prose.map(lambda text: text.replace(" ", "")),
    st.tuples(st.integers(1, 6), st.lists(words, min_size=1, max_size=6)).map(
        lambda pair: f"{'#' * pair[0]} {' '.join(pair[1])}"
    ),
    st.lists(prose, min_size=1, max_size=8).map(lambda points: "\n".join(f"- {point}" for point in points)),
    st.lists(st.lists(words, min_size=2, max_size=2), min_size=1, max_size=20).map(
        lambda rows: "| a | b |\n| --- | --- |\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows)
    ),
    prose.map(lambda text: f"```\n{text}\n```"),
    st.text(max_size=300),
)
documents = st.lists(
    st.lists(st.tuples(blocks, gaps).map("".join), max_size=6).map("".join),
    max_size=5,
).map(lambda texts: [Page(number, text) for number, text in enumerate(texts, start=1)])

sizes = st.tuples(st.integers(16, 120), st.integers(0, 60), st.integers(0, 100)).map(
    lambda drawn: {
        "target_tokens": drawn[0],
        "ceiling_tokens": drawn[0] + drawn[2],
        "overlap_tokens": min(drawn[1], drawn[0] // 2),
    }
)

_alphabets = (
    "0123456789abcdef",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    "的一是不了人我在有他这为之大来以个中上们龘鱻麤",
    "กขคงจฉชซญดตถทธนบปผฝพฟภมยรลวศษสหอะาิีึืุูเแโใไ่้๊๋์",
    "កខគឃងចឆជឈញដឋឌឍណតថទធនបផពភមយរលវសហឡអ្ាិីឹឺុូួើឿៀេែៃោៅ",
    "😀👩👧‍🇫🇷👍🏽️",
    "qxzjkvwQXZJKVW ",
    "0123456789.,;:|- ",
    "αβγδεζηθικλμνξοπρστυφχψω ",
    "ﷺ㎒½ﬃ㌀ ",
    "\u0301\u0300e ",
    "\x1c\x85\u2028\xa0ab",
)
strange = st.sampled_from(_alphabets).flatmap(lambda signs: st.text(alphabet=signs, min_size=1, max_size=60)).map(
    lambda text: (text * 40)[:1500]
)  # fmt: skip
"""Codes, digits, rare letters, emoji and marks, long and often without any space."""
