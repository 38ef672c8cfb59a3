"""
Numbers keep every digit they were given, or are refused.
"""

from __future__ import annotations

import warnings
from decimal import Decimal

import pytest
import pytest_asyncio
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from project_architect_db import DatabaseEngine, InvalidValueError
from project_architect_db.dialect import types

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Base(DeclarativeBase):
    pass


class Price(Base):
    __tablename__ = "prices"
    id: Mapped[int] = mapped_column(primary_key=True)
    amount: Mapped[Decimal | None]
    amounts: Mapped[list[Decimal] | None] = mapped_column(sa.ARRAY(sa.Numeric))
    rounded: Mapped[Decimal | None] = mapped_column(sa.Numeric(10, 2))
    whole: Mapped[Decimal | None] = mapped_column(sa.Numeric(10))
    precise: Mapped[Decimal | None] = mapped_column(sa.Numeric(38, 30))
    number: Mapped[float | None] = mapped_column(sa.Numeric(asdecimal=False))
    anything: Mapped[object | None] = mapped_column(types.VARIANT)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine():
    async with DatabaseEngine(":memory:", metadata=Base.metadata) as engine:
        await engine.create_all()
        yield engine


@pytest_asyncio.fixture(loop_scope="module")
async def session(engine):
    """
    A session; what a test does is rolled back.
    """
    async with engine.session() as session:
        yield session


async def insert(session, many, **values):
    rows = [values] * (2 if many else 1)
    await session.execute(sa.insert(Price), rows if many else values)
    column = getattr(Price, next(iter(values)))
    found = sa.select(column).where(column.is_not(None))
    return (await session.scalars(found)).first()


BARE = [
    "0.12345", "0", "-1.5", "1E-10", "1.100000000000000", "0E-30",
    "1234567890123456789012345678", "-9999999999999999999999999999.9999999999",
]  # fmt: skip


@pytest.mark.parametrize("many", [False, True], ids=["singly", "together"])
@pytest.mark.parametrize("text", BARE)
async def test_a_numeric_without_a_scale_keeps_ten_decimals(session, text, many):
    value = Decimal(text)

    assert value == await insert(session, many, amount=value)
    assert [value] == await insert(session, many, amounts=[value])


@pytest.mark.parametrize("many", [False, True], ids=["singly", "together"])
@pytest.mark.parametrize("text", ["0.12345678901", "1E-11", "-1.5E-30", "1e-400"])
async def test_it_refuses_more_decimals(session, text, many):
    with pytest.raises(InvalidValueError, match="declare the scale"):
        await insert(session, many, amount=Decimal(text))


async def test_it_refuses_more_decimals_in_lists_and_conditions(session):
    third = Decimal(1) / 3
    with pytest.raises(InvalidValueError, match="declare the scale"):
        await session.execute(sa.insert(Price).values(amounts=[third]))
    await session.rollback()
    with pytest.raises(InvalidValueError, match="declare the scale"):
        await session.execute(sa.select(Price).where(Price.amount > third))
    await session.rollback()
    exact = Price.amount > sa.literal(third, sa.Numeric(38, 28))
    assert [] == (await session.scalars(sa.select(Price).where(exact))).all()


@pytest.mark.parametrize("many", [False, True], ids=["singly", "together"])
async def test_a_declared_scale_rounds_as_in_postgresql(session, many):
    assert Decimal("1.01") == await insert(session, many, rounded=Decimal("1.005"))
    assert Decimal(2) == await insert(session, many, whole=Decimal("1.5"))
    precise = Decimal("0.123456789012345678901234567890")
    assert precise == await insert(session, many, precise=precise)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "1E+28"])
async def test_what_no_decimal_holds_is_refused(session, text):
    with pytest.raises(InvalidValueError):
        await insert(session, many=False, amount=Decimal(text))


async def test_floats_are_rounded(session):
    assert Decimal("0.3") == await insert(session, many=False, amount=0.1 + 0.2)
    assert 0.3 == await insert(session, many=False, number=0.1 + 0.2)


async def test_two_of_them_are_multiplied_without_losing_a_digit(session):
    await insert(session, many=False, amount=Decimal("123456.789"))
    product = await session.scalar(sa.select(Price.amount * Price.amount))

    assert Decimal("15241578750.190521") == product


async def test_a_cast_keeps_them_too(session):
    value = sa.cast("0.12345", sa.Numeric)

    assert Decimal("0.12345") == await session.scalar(sa.select(value))


async def test_the_database_says_of_a_column_what_the_model_does(session):
    """
    As alembic compares them: so autogenerate finds no change.
    """

    def compared(connection):
        with warnings.catch_warnings(action="error"):
            columns = sa.inspect(connection).get_columns("prices")
        text = connection.dialect.type_compiler_instance.process
        return [
            (column["name"], text(column["type"]), text(model.type))
            for column, model in zip(columns, Price.__table__.c, strict=True)
        ]

    found = await (await session.connection()).run_sync(compared)

    assert [] == [each for each in found if each[1] != each[2]]
    assert ("amount", "DECIMAL(38, 10)", "DECIMAL(38, 10)") in found


@pytest.mark.parametrize("many", [False, True], ids=["singly", "together"])
@pytest.mark.parametrize(
    "value",
    [
        2**64 - 1, -(2**63), [2**64 - 1], {"a": {str(2**80): [str(-(2**80)), 2**53]}},
        1e300, 12345678901234567890.0, "9" * 5000,
    ],
)  # fmt: skip
async def test_a_variant_keeps_integers_of_64_bits(session, value, many):
    assert value == await insert(session, many, anything=value)


@pytest.mark.parametrize("many", [False, True], ids=["singly", "together"])
@pytest.mark.parametrize(
    "value",
    [2**64, -(2**63) - 1, 2**70, 2**200, [1, [2**70]], {"a": {"b": -(2**70)}}],
)
async def test_a_variant_refuses_a_larger_integer(session, value, many):
    with pytest.raises(InvalidValueError, match="integers of up to 64 bits"):
        await insert(session, many, anything=value)


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.decimals(allow_nan=False, allow_infinity=False) | st.integers())
async def test_a_decimal_comes_back_or_is_refused(session, value):
    try:
        await session.execute(sa.delete(Price))
        found = await insert(session, many=False, amount=value)
    except InvalidValueError:
        await session.rollback()
        scaled = Decimal(value).as_tuple()
        assert abs(value) >= 10**28 or scaled.exponent < -10
    else:
        assert value == found
