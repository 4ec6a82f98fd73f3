"""Retention: days by service, as an operator writes them."""

from __future__ import annotations

import pytest

from shared.catalog import CHANNEL_NAMES
from shared.settings import Retention


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7", Retention(7.0)),
        ("0.5", Retention(0.5)),
        ("36500", Retention(36_500.0)),
        ("", Retention(7.0)),
        (" , ,", Retention(7.0)),
        ("news=90", Retention(7.0, {"news": 90.0})),
        (" 30 , news = 90,market_data=0.25, ", Retention(30.0, {"news": 90.0, "market_data": 0.25})),
        ("news=90,2", Retention(2.0, {"news": 90.0})),
        ("system=1", Retention(7.0, {"system": 1.0})),
    ],
)
def test_days_and_exceptions_are_read_in_any_order_and_spacing(text: str, expected: Retention) -> None:
    """A week where nothing else is said."""
    assert Retention.parse(text) == expected


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "36501", "x", "news=", "=7", "news=x", "news=0"])
def test_days_are_a_number_above_zero_and_at_most_a_century(text: str) -> None:
    """Any other value is refused, as it would delete or keep records by mistake."""
    with pytest.raises(ValueError, match=r"^(days are a number|a number of days)"):
        Retention.parse(text)


@pytest.mark.parametrize("text", ["7,7", "news=1,news=2", "nobody=1", "7=news", "7;news=90", "news:90", "News=1"])
def test_what_is_said_twice_or_of_no_service_is_refused(text: str) -> None:
    """The line states what is expected."""
    with pytest.raises(ValueError, match="days"):
        Retention.parse(text)


def test_a_service_without_days_of_its_own_has_those_of_all() -> None:
    """Every channel has some."""
    retention = Retention(3.0, {"news": 90.0})
    assert {service: retention.of(service) for service in CHANNEL_NAMES} == {
        service: 90.0 if service == "news" else 3.0 for service in CHANNEL_NAMES
    }


@pytest.mark.parametrize("text", ["7", "0.5,news=90", "36500,news=0.25,market_data=1"])
def test_its_text_is_what_an_operator_would_write(text: str) -> None:
    """str and parse are each other's inverse."""
    assert str(Retention.parse(text)) == text
