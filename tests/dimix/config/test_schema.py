"""Comments of default dicts as a schema."""

import pytest

from dimix.config.schema import Key, class_schema, defaults, make_key, walk


class Base:
    config = dict(
        # (int | None) Steps of a window; None samples whole episodes, >= 1.
        unroll_len=None,
        learn=dict(
            # (float) Discount,
            # in [0, 1).
            gamma=0.9,
            # (str) Optimizer, one of "adam", "rmsprop".
            optimizer="adam",
            # (str | list of str | None) Some, one of "a", "b".
            some=None,
            # (list of int) Layers.
            layers=[64],
            # (dict) Anything.
            extra=dict(),
        ),
        flag=True,  # (bool) Comment behind the key.
    )


class Derived(Base):
    config = dict(learn=dict(gamma=0.5, alpha=0.1))


def key(dotted: str, cls: type = Base) -> Key:
    return dict(walk(class_schema(cls)))[dotted]


def test_comments_give_types_ranges_and_choices():
    assert key("unroll_len").kinds == ("int", "None")
    assert key("unroll_len").bounds == ((">=", 1.0),)
    assert key("learn.gamma").bounds == ((">=", 0.0), ("<", 1.0))
    assert key("learn.gamma").text == "Discount, in [0, 1)."
    assert key("learn.optimizer").choices == ("adam", "rmsprop")
    assert key("learn.layers").item == "int"
    assert key("flag").text == "Comment behind the key."


def test_subclass_states_only_what_changes():
    schema = class_schema(Derived)
    assert defaults(schema)["learn"] == dict(gamma=0.5, optimizer="adam", some=None, layers=[64], extra={}, alpha=0.1)
    assert key("learn.gamma", Derived).bounds == ((">=", 0.0), ("<", 1.0))  # the base's comment still holds
    assert key("learn.alpha", Derived).kinds == ("float",)


def test_defaults_are_fresh_each_time():
    schema = class_schema(Base)
    defaults(schema)["learn"]["layers"].append(1)
    assert defaults(schema)["learn"]["layers"] == [64]


@pytest.mark.parametrize(
    ("dotted", "value", "expected"),
    [
        ("unroll_len", None, None),
        ("unroll_len", 1e9, 1_000_000_000),
        ("learn.gamma", 0, 0.0),
        ("learn.layers", (32, 1e1), [32, 10]),
        ("learn.extra", dict(a=1), dict(a=1)),
        ("flag", False, False),
    ],
)
def test_values_that_fit(dotted, value, expected):
    found = key(dotted).coerce(value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("dotted", "value", "message"),
    [
        ("unroll_len", 0, r"0 is out of range. Use an int >= 1 or None."),
        ("unroll_len", True, r"True is a bool. Use an int >= 1 or None."),
        ("unroll_len", 2.5, r"2.5 is a float. Use an int >= 1 or None."),
        ("learn.gamma", 1.0, r"1.0 is out of range. Use a float >= 0 and < 1."),
        ("learn.gamma", float("nan"), r"nan is out of range."),
        ("learn.gamma", "0.9", r"'0.9' is a str. Use a float >= 0 and < 1."),
        ("learn.gamma", None, r"None is not set. Use a float >= 0 and < 1."),
        ("learn.optimizer", "adm", r"'adm'. Use one of 'adam', 'rmsprop'. Did you mean 'adam'\?"),
        ("learn.some", ["a", "c"], r"\['a', 'c'\]. Use one of 'a', 'b' or a list of them or None."),
        ("learn.some", [1], r"\[1\] is a list. Use one of 'a', 'b' or a list of them or None."),
        ("learn.layers", [64, "a"], r"\[64, 'a'\] is a list. Use a list of int."),
        ("flag", 1, r"1 is an int. Use a bool."),
    ],
)
def test_values_that_do_not_fit(dotted, value, message):
    with pytest.raises(ValueError, match=message):
        key(dotted).coerce(value)


def test_without_a_comment_the_default_gives_the_type():
    assert make_key(3).kinds == ("int",)
    assert make_key(None).coerce("anything") == "anything"


def test_class_without_source_still_has_a_schema():
    scope: dict = {}
    exec("class Typed:\n    config = dict(a=1, b=dict(c='x'))", scope)
    assert [(k, rule.kinds) for k, rule in walk(class_schema(scope["Typed"]))] == [("a", ("int",)), ("b.c", ("str",))]
