"""
Questions about the messages of conversations: who says how much, and when.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple, Unpack

from project_architect_db.analytics.charts import field, view
from project_architect_db.analytics.questions import Asker, Query, Question
from project_architect_db.analytics.reports import Report
from project_architect_db.analytics.scope import Filters, Scope

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class MessagePattern(NamedTuple):
    """
    How messages of a role are.

    Attributes:
        role: Who they are from.
        messages: How many there are.
        mean_length: Of a message, in characters.
        median_length: Half of them are shorter.
        median_gap_seconds: Half of them came sooner after the message before; `None`
            where no two times are known.
        p90_gap_seconds: Nine of ten came sooner.
    """

    role: str
    messages: int
    mean_length: float
    median_length: float
    median_gap_seconds: float | None
    p90_gap_seconds: float | None


class HeatmapCell(NamedTuple):
    """
    How many messages there were at an hour of a day of the week.

    Attributes:
        weekday: From 1, Monday, to 7.
        hour: From 0 to 23, on the clocks of the zone.
        messages: How many there were.
    """

    weekday: int
    hour: int
    messages: int


class MessageCount(NamedTuple):
    """
    The messages of some time.

    Attributes:
        bucket: When that time began.
        messages: How many there were.
        conversations: In how many conversations.
        mean_length: Of a message, in characters; `None` where there was none.
    """

    bucket: datetime
    messages: int
    conversations: int
    mean_length: float | None


class MessageQuestions(Asker):
    """
    What can be asked about the messages of conversations.

    They are read from the conversations themselves. What SQL may have put there does no
    harm: a message without a role is a user's, one without content is empty, and one
    whose `at` is no time was at no time, so it is in no period.
    """

    def message_patterns(
        self, **filters: Unpack[Filters]
    ) -> Question[Report[MessagePattern]]:
        """
        How many messages there are of whom, how long, and how soon after the last one.

        Each list of messages is parsed once and laid beside itself, moved on by one:
        so each message meets the one before, without a window.
        """
        scope = Scope.of(filters)
        return Query(
            name="message_patterns",
            title="Messages by role",
            sql=f"""
                SELECT role, count(*) AS messages, avg(length), median(length),
                    quantile_cont(gap, [0.5, 0.9])[1], quantile_cont(gap, [0.5, 0.9])[2]
                FROM (
                    SELECT coalesce(message.role, 'user') AS role,
                        length(coalesce(message.content, '')) AS length, moment,
                        (epoch_us(moment) - epoch_us(before)) / 1e6 AS gap
                    FROM (
                        SELECT unnest(said) AS message, unnest(moments) AS moment,
                            unnest(list_slice(list_prepend(NULL, moments), 1,
                                len(moments))) AS before
                        FROM (
                            SELECT said, [TRY_CAST(each.at AS TIMESTAMPTZ)
                                FOR each IN said] AS moments
                            FROM (
                                SELECT from_json(messages, '[{{
                                    "role": "VARCHAR", "content": "VARCHAR",
                                    "at": "VARCHAR"}}]') AS said
                                FROM conversations
                                WHERE {scope.where(project="project_id")}))))
                WHERE {scope.where(time="moment")}
                GROUP BY role ORDER BY messages DESC, role
            """,
            row=MessagePattern,
            tables=("conversations",),
            scope=scope,
            view=view("bar", x=field("messages", "Q"), y=field("role", "N", sort="-x")),
        ).asked_by(self)

    def message_heatmap(
        self, **filters: Unpack[Filters]
    ) -> Question[Report[HeatmapCell]]:
        """
        How many messages there are at which hour of which day of the week.

        Only the times are taken out of the messages, and moved to the clocks of the
        zone; there is a row for each of the 168 hours.
        """
        scope = Scope.of(filters)
        return Query(
            name="message_heatmap",
            title="Messages by day of the week and hour",
            sql=f"""
                SELECT isodow(clock) AS weekday, hour(clock) AS hour,
                    count(*) AS messages
                FROM (
                    SELECT {scope.wall_clock("moment")} AS clock
                    FROM (
                        SELECT TRY_CAST(given AS TIMESTAMPTZ) AS moment
                        FROM (
                            SELECT unnest(messages ->> '$[*].at') AS given
                            FROM conversations
                            WHERE {scope.where(project="project_id")}))
                    WHERE moment IS NOT NULL AND {scope.where(time="moment")})
                GROUP BY weekday, hour
            """,
            row=HeatmapCell,
            tables=("conversations",),
            scope=scope,
            view={
                "transform": [
                    {"calculate": f"{list(_DAYS)}[datum.weekday - 1]", "as": "day"}
                ],
                **view(
                    "rect", x=field("hour", "O", "hour of the day"),
                    y=field("day", "O", "day of the week", sort=list(_DAYS)),
                    color=field("messages", "Q", scale={"scheme": "blues"}),
                ),
            },
            finish=_whole_week,
        ).asked_by(self)  # fmt: skip

    def messages_over_time(
        self, **filters: Unpack[Filters]
    ) -> Question[Report[MessageCount]]:
        """
        How many messages there are over time, in how many conversations, and how long.

        One parse of each list of messages, and one GROUP BY.
        """
        scope = Scope.of(filters)

        def filled(rows: list[MessageCount]) -> Iterator[MessageCount]:
            told = {row.bucket: row for row in rows}
            for start in scope.all_buckets(told):
                yield told.get(start) or MessageCount(start, 0, 0, None)

        return Query(
            name="messages_over_time",
            title="Messages over time",
            sql=f"""
                SELECT {scope.bucket("moment")} AS bucket, count(*) AS messages,
                    count(DISTINCT id) AS conversations, avg(length)
                FROM (
                    SELECT id, TRY_CAST(message.at AS TIMESTAMPTZ) AS moment,
                        length(coalesce(message.content, '')) AS length
                    FROM (
                        SELECT id, unnest(from_json(messages,
                            '[{{"content": "VARCHAR", "at": "VARCHAR"}}]')) AS message
                        FROM conversations
                        WHERE {scope.where(project="project_id")}))
                WHERE moment IS NOT NULL AND {scope.where(time="moment")}
                GROUP BY bucket ORDER BY bucket
            """,
            row=MessageCount,
            tables=("conversations",),
            scope=scope,
            view=view("line", x=field("bucket", "T", "time"), y=field("messages", "Q")),
            finish=lambda rows: [*filled(rows)],
        ).asked_by(self)


def _whole_week(rows: list[HeatmapCell]) -> list[HeatmapCell]:
    told = {row[:2]: row.messages for row in rows}
    return [
        HeatmapCell(weekday, hour, told.get((weekday, hour), 0))
        for weekday in range(1, 8)
        for hour in range(24)
    ]
