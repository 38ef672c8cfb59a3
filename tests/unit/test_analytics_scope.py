"""
What limits questions of analytics, and the buckets of time.
"""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from project_architect_db.analytics.checks import require_among, require_count
from project_architect_db.analytics.present import present
from project_architect_db.analytics.scope import GRANULARITIES, Scope
from project_architect_db.errors import InvalidQuestionError

BERLIN = ZoneInfo("Europe/Berlin")


def scope(**filters):
    return Scope.of(filters)


def hours(local):
    """
    An offset from UTC.
    """
    return timezone(timedelta(hours=local))


# --- checking ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filters", "argument"),
    [
        ({"since": "2026-01-01"}, "since"),
        ({"until": 5}, "until"),
        ({"since": date(2026, 1, 2), "until": date(2026, 1, 2)}, "until"),
        ({"since": date(2026, 1, 2), "until": date(2026, 1, 1)}, "until"),
        ({"zone": "Europe/Berlim"}, "zone"),
        ({"zone": "../etc/passwd"}, "zone"),
        ({"zone": ""}, "zone"),
        ({"zone": None}, "zone"),
        ({"zone": "localtime"}, "zone"),
        ({"zone": "posix/Europe/Berlin"}, "zone"),
        ({"zone": "right/Europe/Berlin"}, "zone"),
        ({"granularity": "minute"}, "granularity"),
        ({"granularity": ["day"]}, "granularity"),
        (
            {
                "since": date(2000, 1, 1),
                "until": date(2026, 1, 1),
                "granularity": "hour",
            },
            "granularity",
        ),
        ({"projects": "12"}, "projects"),
        ({"projects": ["1"]}, "projects"),
        ({"projects": [True]}, "projects"),
        ({"projects": 2.5}, "projects"),
        ({"projects": [2**70]}, "projects"),
        ({"statuses": ["active", "drafd"]}, "statuses"),
        ({"statuses": [5]}, "statuses"),
        ({"statuses": 5}, "statuses"),
        ({"projekts": 5}, "projekts"),
    ],
)
def test_what_makes_no_sense_is_refused_by_the_name_of_its_argument(filters, argument):
    with pytest.raises(InvalidQuestionError) as caught:
        scope(**filters)
    assert caught.value.argument == argument
    assert str(caught.value).startswith(f"{argument}: ")


def test_a_misspelt_status_is_told_what_was_meant():
    with pytest.raises(InvalidQuestionError, match="did you mean 'draft'"):
        scope(statuses="drafd")


def test_dates_and_times_without_a_zone_are_of_the_zone_that_was_asked_for():
    asked = scope(
        since=date(2026, 7, 1), until=datetime(2026, 7, 1, 12), zone="Europe/Berlin"
    )
    assert asked.since == datetime(2026, 6, 30, 22, tzinfo=UTC)
    assert asked.until == datetime(2026, 7, 1, 10, tzinfo=UTC)
    aware = datetime(2026, 7, 1, tzinfo=UTC)
    asked = scope(since=aware, zone="Europe/Berlin")
    assert asked.since.isoformat() == "2026-07-01T02:00:00+02:00"


def test_a_period_is_as_long_as_it_is_however_clocks_are_changed():
    berlin = {"zone": "Europe/Berlin", "granularity": "hour"}
    first = datetime(2026, 10, 25, 2, 30)
    asked = scope(since=first, until=first.replace(minute=15, fold=1), **berlin)
    assert asked.until - asked.since == timedelta(minutes=45)
    aware = datetime(2026, 3, 29, 3, tzinfo=BERLIN)  # an hour after 1:59
    asked = scope(since=aware - timedelta(hours=2), until=aware, **berlin)
    assert [hour.hour for hour in asked.all_buckets([])] == [1]
    assert asked == scope(
        since=datetime(2026, 3, 29, 0, tzinfo=UTC),
        until=datetime(2026, 3, 29, 1, tzinfo=UTC), **berlin,
    )  # fmt: skip


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York", "UTC"])
def test_the_first_and_the_last_time_are_those_of_python_in_each_zone(zone):
    ever = scope(since=datetime.min, zone=zone)
    forever = scope(until=datetime.max, zone=zone)
    assert ever.since.astimezone(UTC).year == 1
    assert forever.until.astimezone(UTC).year == 9999


def test_times_of_the_database_that_python_cannot_tell():
    tokyo = scope(zone="Asia/Tokyo", granularity="hour")
    last = datetime.max.replace(tzinfo=UTC)
    for value in (last.replace(tzinfo=None), last, "290000-01-01"):
        with pytest.raises(InvalidQuestionError, match="beyond the years 1 to 9999"):
            tokyo.moment(value)


def test_equal_filters_make_equal_scopes():
    first = scope(projects=[2, 1], statuses={"draft", "active"}, zone=BERLIN)
    second = scope(projects=(1, 2), statuses=["active", "draft"], zone="Europe/Berlin")
    assert first == second
    assert hash(first) == hash(second)
    assert scope(projects=3).projects == (3,)
    assert scope(statuses="draft").statuses == ("draft",)


@pytest.mark.parametrize("value", [0, -1, 11, True, 2.0, "3", None])
def test_a_number_of_something_is_within_its_limits(value):
    with pytest.raises(InvalidQuestionError, match="limit: expected a whole number"):
        require_count("limit", value, most=10)
    assert require_count("limit", 10, most=10) == 10


def test_a_word_is_one_of_those_that_are_known():
    require_among("by", "a", ("a", "b"))
    with pytest.raises(InvalidQuestionError, match="'c' is none of a, b"):
        require_among("by", "c", ("a", "b"))


# --- SQL --------------------------------------------------------------------------


def test_only_what_was_asked_for_is_a_condition():
    assert scope().where(time="t", project="p") == "true"
    asked = scope(since=date(2026, 1, 1), projects=[1], statuses=["draft"])
    assert asked.where(time="t") == "t >= :since"
    assert asked.where(project="p").count("p IN (") == 2
    assert scope(until=date(2026, 1, 1)).where(time="t") == "t < :until"
    assert asked.where() == "true"


# --- buckets ----------------------------------------------------------------------


def test_midnight_is_that_of_the_zone():
    berlin = scope(zone="Europe/Berlin")
    start = berlin.start(datetime(2026, 3, 29, 23, 30, tzinfo=UTC))
    assert start == datetime(2026, 3, 30, tzinfo=hours(2))
    assert berlin.moment(datetime(2026, 3, 30)) == start


@pytest.mark.parametrize(
    ("granularity", "expected"),
    [
        ("day", date(2024, 2, 29)),
        ("week", date(2024, 2, 26)),
        ("month", date(2024, 2, 1)),
        ("quarter", date(2024, 1, 1)),
        ("year", date(2024, 1, 1)),
    ],
)
def test_a_leap_day_is_in_its_bucket(granularity, expected):
    start = scope(granularity=granularity).start(datetime(2024, 2, 29, 13, tzinfo=UTC))
    assert start == datetime(expected.year, expected.month, expected.day, tzinfo=UTC)


def test_days_around_a_change_of_the_clocks_are_days():
    berlin = scope(
        zone="Europe/Berlin", since=date(2026, 3, 28), until=date(2026, 3, 31)
    )
    days = berlin.all_buckets([])
    assert [day.utcoffset() for day in days] == [
        timedelta(hours=1), timedelta(hours=1), timedelta(hours=2),
    ]  # fmt: skip
    assert [later - day for day, later in itertools.pairwise(days)] == [
        timedelta(hours=24), timedelta(hours=23),
    ]  # fmt: skip


def test_an_hour_that_a_zone_has_twice_is_two_hours():
    autumn = scope(
        zone="Europe/Berlin", granularity="hour",
        since=datetime(2026, 10, 25, 1), until=datetime(2026, 10, 25, 4),
    )  # fmt: skip
    found = autumn.all_buckets([])
    assert [hour.isoformat() for hour in found] == [
        "2026-10-25T01:00:00+02:00", "2026-10-25T02:00:00+02:00",
        "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00",
    ]  # fmt: skip
    assert len(set(found)) == 4


def test_an_hour_that_a_zone_leaves_out_is_none():
    spring = scope(
        zone="Europe/Berlin", granularity="hour",
        since=datetime(2026, 3, 29, 1), until=datetime(2026, 3, 29, 4),
    )  # fmt: skip
    assert [hour.hour for hour in spring.all_buckets([])] == [1, 3]


def test_half_hours_of_a_zone_begin_its_hours():
    india = scope(zone="Asia/Kolkata", granularity="hour")
    start = india.start(datetime(2026, 1, 1, 0, 45, tzinfo=UTC))
    assert start == datetime(2026, 1, 1, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_each_bucket_begins_where_the_one_before_ends(granularity):
    asked = scope(
        granularity=granularity, zone="America/New_York",
        since=date(2026, 2, 27), until=date(2026, 4, 3),
    )  # fmt: skip
    found = asked.all_buckets([])
    assert found == sorted(set(found))
    assert found[0] <= asked.since < asked.next(found[0])
    assert found[-1] < asked.until <= asked.next(found[-1])
    assert all(asked.start(each) == each for each in found)
    halfway = [a + (b - a) / 2 for a, b in itertools.pairwise(found)]
    assert [asked.start(moment) for moment in halfway] == found[:-1]


def test_an_open_period_has_the_buckets_that_are_told_of():
    first, last = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 4, tzinfo=UTC)
    assert scope().all_buckets([last, first]) == [
        first + timedelta(days=days) for days in range(4)
    ]
    assert scope().all_buckets([]) == []
    assert scope(since=date(2026, 1, 3)).all_buckets([last]) == [
        last - timedelta(days=1), last,
    ]  # fmt: skip
    assert scope(since=date(2026, 1, 3)).all_buckets([]) == []
    assert scope(until=date(2026, 1, 3)).all_buckets([last]) == []


def test_too_many_buckets_are_refused_where_only_the_data_can_tell():
    ends = [datetime(1990, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)]
    with pytest.raises(InvalidQuestionError, match="more than 10,000 of them"):
        scope().all_buckets(ends)


# --- the present ------------------------------------------------------------------


def test_the_present_is_the_end_of_this_minute_or_what_was_given():
    before = datetime.now(UTC)
    now = present()
    assert (now.second, now.microsecond) == (0, 0)
    assert before < now
    assert now - datetime.now(UTC) <= timedelta(minutes=1)
    given = datetime(2026, 7, 1, 12, 0, 5, tzinfo=BERLIN)
    assert present(given) == given


@pytest.mark.parametrize("value", ["now", datetime(2026, 1, 1), date(2026, 1, 1)])
def test_the_present_has_a_zone(value):
    with pytest.raises(InvalidQuestionError, match="with a time zone"):
        present(value)
