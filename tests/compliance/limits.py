"""
Tests of SQLAlchemy's compliance suite that DuckDB cannot pass, and why.

They are expected to fail, strictly: one that passes fails the run.
"""

import re

_NAMES = "the names of constraints are discarded"

LIMITS = {
    "test_get_multi_unique_constraints[False": _NAMES,
    "ComponentReflectionTest::test_get_unique_constraints": _NAMES,
    "test_get_temp_table_unique_constraints": _NAMES,
    "test_long_convention_name[ck": _NAMES,
    "test_long_convention_name[pk": _NAMES,
    "test_long_convention_name[uq": _NAMES,
    "test_string_length_reflection": "the length of a VARCHAR is discarded",
    "test_reflect_table_temp_table": "the length of a VARCHAR is discarded",
    "test_dialect_user_setting_is_restored": "there is one isolation level",
    "ReturningGuardsTest::test_update_single": (
        "UPDATE … RETURNING works where it is written, but the dialect never uses it "
        "by itself: it rewrites the whole row"
    ),
    "test_ss_cursor_status[for_update_string": "there is no FOR UPDATE",
    "numeric_38_digit_divisor-typed": "DECIMAL / DECIMAL is a DOUBLE",
    "numeric_38_digit_divisor-untyped_function": "DECIMAL / DECIMAL is a DOUBLE",
    "WindowFunctionTest::test_window_range": (
        "rows of a window come in no order unless one is asked for"
    ),
}
"""Part of a test's name → the reason."""

PASSED = (
    "test_window_range_dates",
    "ObjectKind.VIEW-",
    "ObjectKind.MATERIALIZED_VIEW-",
    "ObjectKind.ANY_VIEW-",
    "ObjectScope.TEMPORARY-<lambda>",
)
"""Parts of the names of their neighbours that DuckDB does pass."""

_DATABASE = re.compile(r"_duckdb\+async_async_[\d_]+::")
"""What the plugin adds to the name of a class: dialect, driver and version."""


def limit_of(node_id):
    """
    The reason why DuckDB cannot pass a test, if there is one.
    """
    node_id = _DATABASE.sub("::", node_id)
    if any(part in node_id for part in PASSED):
        return None
    return next((why for part, why in LIMITS.items() if part in node_id), None)
