"""Laws of model names."""

from __future__ import annotations

import string
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srbench.errors import NameSyntaxError
from srbench.registry.names import ModelName, format_value, parse, parse_value, value_from_object

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True)
TAGS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,8}", fullmatch=True)
TEXTS = st.text(string.printable.replace('"', "").replace("\n", ""), max_size=12)
SHAPES = st.lists(st.one_of(st.integers(1, 512).map(str), st.sampled_from("CK")), min_size=2, max_size=4).map("x".join)
VALUES = st.one_of(st.integers(), st.fractions(), st.booleans(), TEXTS, SHAPES)
MODELS = st.builds(
    lambda backbone, method, args, tag: ModelName(backbone, method, tuple(args.items()) if method else (), tag),
    NAMES,
    st.none() | NAMES,
    st.dictionaries(NAMES, VALUES, max_size=4),
    st.none() | TAGS,
)


@given(MODELS)
def test_parse_is_the_inverse_of_print(name: ModelName) -> None:
    """Law: parse(str(name)) == name."""
    assert parse(str(name)) == name


@given(MODELS)
def test_a_printed_name_is_canonical(name: ModelName) -> None:
    """Law: str(parse(text)) == text for every text that print makes."""
    assert str(parse(str(name))) == str(name)


@given(MODELS, st.randoms())
def test_equal_models_have_one_spelling(name: ModelName, random: object) -> None:
    """Law: the order and spacing of the arguments, and how a number is written, do not change the printed name."""
    items = [(key, format_value(value), value) for key, value in name.args]
    random.shuffle(items)  # type: ignore[attr-defined]
    spelt = []
    for key, text, value in items:
        if isinstance(value, Fraction):
            text = f"{value.numerator * 3}/{value.denominator * 3}"
        elif isinstance(value, str) and not text.startswith('"'):
            text = f'"{text}"'
        spelt.append(f" {key} = {text} ")
    method = f"+{name.method}" if name.method else ""
    args = f"({','.join(spelt)})" if spelt else ("()" if name.method else "")
    tag = f".{name.tag}" if name.tag else ""
    assert str(parse(f"{name.backbone}{method}{args}{tag}")) == str(name)


@given(MODELS)
def test_the_yaml_form_is_the_same_model(name: ModelName) -> None:
    """Law: a mapping with the same parts, numbers as YAML would read them, is the same model."""
    mapping = {"backbone": name.backbone, "method": name.method, "tag": name.tag}
    args = {key: str(value) if isinstance(value, Fraction) else value for key, value in name.args}
    assert ModelName.from_mapping(mapping | {"args": args}) == name


@given(MODELS, MODELS)
def test_distinct_models_have_distinct_slugs(a: ModelName, b: ModelName) -> None:
    """Law: slugs are equal only where the names are, even where case folds."""
    assert (a.slug.lower() == b.slug.lower()) == (str(a) == str(b))
    assert not set(a.slug) & set('/\\:*?"<>| ')


@given(VALUES)
def test_a_value_reads_back(value: object) -> None:
    """Law: a printed value reads as the value that the object is (a text that spells a number is that number)."""
    value = value_from_object(value)
    assert parse_value(format_value(value)) == value


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("edsr_baseline", "edsr_baseline"),
        ("edsr_baseline+ps(shape=64x64x1x1, ratio=4/16)", "edsr_baseline+ps(ratio=1/4,shape=64x64x1x1)"),
        ("drrn_b1u9+ps.author", "drrn_b1u9+ps.author"),
        ("a+m(x=0.25)", "a+m(x=1/4)"),
        ("a+m(x=1.0)", "a+m(x=1)"),
        ('a+m(x="1/4").v1.2', "a+m(x=1/4).v1.2"),
        ("a+m(flag=true)", "a+m(flag=true)"),
        ('a+m(x="two words")', 'a+m(x="two words")'),
        ("a+m()", "a+m"),
    ],
)
def test_spellings(text: str, canonical: str) -> None:
    assert str(parse(text)) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+ps",
        "a+",
        "a+m(",
        "a+m(x)",
        "a+m(x=)",
        "a+m(x=1",
        "a+m(x=1/0)",
        "a+m(x=1,x=2)",
        "a(x=1)",
        "a b",
        "a.",
        "ä",
        "a+m(x=a b)",
    ],
)
def test_a_malformed_name_gets_a_sentence(text: str) -> None:
    with pytest.raises(NameSyntaxError, match=r"\w+ \w+"):
        parse(text)


def test_a_malformed_name_says_where() -> None:
    with pytest.raises(NameSyntaxError, match="position 6"):
        parse("edsr_+m(x=1)!"[:5] + " oops")
