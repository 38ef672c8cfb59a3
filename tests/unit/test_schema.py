"""
Schemas check what comes in, say what was wrong, and tell absent from null.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from pydantic import (
    BaseModel,
    Field,
    TypeAdapter,
    ValidationError,
    field_serializer,
    field_validator,
    model_validator,
)
from sqlalchemy import ForeignKey, MetaData, select
from sqlalchemy.orm import Mapped, mapped_column, relationship, selectinload

from project_architect_db import Base, DatabaseEngine
from project_architect_db.errors import InvalidDataError, UnknownFieldError
from project_architect_db.orm.schema import Schema, absent, in_our_words, update_schema


class Part(Schema):
    colour: str
    size: int = Field(default=1, ge=1)


class Foreign(BaseModel):
    x: int = 0


class ThingCreate(Schema):
    """
    What a thing is made of.
    """

    name: str = Field(max_length=8, examples=["lamp"])
    """What it is called."""
    text: str | None = None
    status: str = Field("draft", json_schema_extra={"x-order": 1})
    made: dt.date | None = None
    parts: list[Part] = Field(default_factory=list)
    facts: dict[str, Any] = Field(
        default_factory=dict, json_schema_extra=lambda schema: schema.update(x=2)
    )
    foreign: Foreign | None = Field(None, alias="abroad")

    @field_validator("name", mode="before")
    @classmethod
    def _not_blank(cls, value: Any) -> Any:
        if value == "":
            raise ValueError("must not be blank")
        return value

    @field_serializer("made")
    def _as_text(self, value: dt.date | None) -> str:
        return str(value)

    @model_validator(mode="after")
    def _explained(self) -> ThingCreate:
        if self.status == "odd" and self.text is None:
            raise ValueError("an odd thing needs a text")
        return self


ThingUpdate = update_schema(ThingCreate)


class PartUpdate(Schema):
    colour: str = absent(description="Its colour.")
    size: int | None = absent()
    parts: list[PartUpdate] = absent(json_schema_extra={"x": 1})


ROADS = {
    "constructor": lambda schema, data: schema(**data),
    "dict": lambda schema, data: schema.model_validate(data),
    "json": lambda schema, data: schema.model_validate_json(
        TypeAdapter(Any).dump_json(data)
    ),
}


@pytest.mark.parametrize("road", ROADS.values(), ids=ROADS)
def test_every_road_raises_our_errors(road):
    assert road(ThingCreate, {"name": "a"}).name == "a"
    with pytest.raises(UnknownFieldError, match="did you mean 'name'") as unknown:
        road(ThingCreate, {"nmae": "a"})
    assert (unknown.value.model, unknown.value.field) == ("ThingCreate", "nmae")
    assert unknown.value.suggestion == "name"
    with pytest.raises(InvalidDataError) as invalid:
        road(ThingCreate, {"name": "a", "parts": [{"colour": "red", "size": "x"}]})
    error = invalid.value
    assert (error.model, error.field, error.value) == (
        "ThingCreate",
        "parts.0.size",
        "x",
    )
    assert isinstance(error.__cause__, ValidationError)


PROBLEMS = [
    ({}, "name: Field required"),
    ({"name": "x" * 9}, "name: String should have at most 8 … (got 'xxxxxxxxx')"),
    ({"name": ""}, "name: must not be blank (got '')"),
    ({"name": "a", "status": "odd"}, "*: an odd thing needs a text (got {'name…"),
    ({"name": "a", "status": 1}, "status: Input should be a valid string (got 1)"),
    ({"name": 1, "status": 1}, "name: … (got 1); and 1 more problem"),
    ({"name": 1, "status": 1, "text": 1}, "name: … (got 1); and 2 more problems"),
]


@pytest.mark.parametrize(("data", "message"), PROBLEMS)
def test_a_message_names_the_first_problem_and_counts_the_others(data, message):
    with pytest.raises(InvalidDataError) as caught:
        ThingCreate(**data)
    for part in f"ThingCreate.{message}".split("…"):
        assert part in str(caught.value)


def test_what_is_no_object_at_all_is_invalid():
    with pytest.raises(InvalidDataError, match=r"Part\.\*: .*\(got 5\)"):
        Part.model_validate(5)
    with pytest.raises(InvalidDataError, match="EOF"):
        Part.model_validate_json('{"name"')


def test_a_name_inside_is_compared_with_the_names_there():
    with pytest.raises(UnknownFieldError) as caught:
        ThingCreate(name="a", parts=[{"color": "red"}])
    assert caught.value.field == "parts.0.color"
    assert caught.value.suggestion == "colour"


def test_an_unknown_name_without_a_close_one_gets_the_list():
    with pytest.raises(UnknownFieldError, match=r"there are colour, size$"):
        Part(colour="red", zzz=1)


def test_an_alias_is_a_name():
    with pytest.raises(UnknownFieldError, match="did you mean 'abroad'"):
        ThingCreate(name="a", aboard=None)
    with pytest.raises(InvalidDataError, match=r"abroad\.x: "):
        ThingCreate(name="a", abroad={"x": "y"})


def test_the_error_of_a_row_says_which():
    rows = TypeAdapter(Part)
    with pytest.raises(ValidationError) as caught:
        rows.validate_python({"colour": 1})
    error = in_our_words(caught.value, Part, index=7)
    assert str(error) == "row 7: Part.colour: Input should be a valid string (got 1)"


@pytest.mark.parametrize("schema", [ThingCreate, ThingUpdate])
def test_fastapi_gets_pydantics_error(schema):
    """
    It validates with the schema's core, and answers 422 to `ValidationError`.
    """
    body = TypeAdapter(list[schema])
    for data in ({"nmae": "a"}, {"name": None}, {"parts": [{"size": 0}]}):
        with pytest.raises(ValidationError):
            body.validate_python([data])
    assert body.validate_python([{"name": "a"}])[0].name == "a"


def test_absent_is_not_null():
    assert ThingUpdate().changes() == {}
    assert ThingUpdate(text=None).changes() == {"text": None}
    assert ThingUpdate(status="x", abroad={}).changes() == {
        "status": "x",
        "foreign": {"x": 0},
    }
    with pytest.raises(InvalidDataError, match="name: Input should be a valid string"):
        ThingUpdate(name=None)


def test_an_update_keeps_the_rules_of_fields():
    with pytest.raises(InvalidDataError, match="name: must not be blank"):
        ThingUpdate(name="")
    with pytest.raises(InvalidDataError, match="at most 8"):
        ThingUpdate(name="a long name")
    assert ThingUpdate(status="odd").changes() == {"status": "odd"}
    assert update_schema(Part, name="Other").__name__ == "Other"


def test_changes_are_values_of_python():
    day = dt.date(2026, 1, 1)
    changes = ThingUpdate(
        made="2026-01-01", parts=[{"colour": "red"}], facts={"part": Part(colour="b")}
    ).changes()
    assert changes == {
        "made": day,
        "parts": [{"colour": "red", "size": 1}],
        "facts": {"part": {"colour": "b", "size": 1}},
    }


def test_what_is_absent_inside_stays_absent():
    changes = PartUpdate(parts=[{"size": None}, {"colour": "red"}]).changes()
    assert changes == {"parts": [{"size": None}, {"colour": "red"}]}
    assert PartUpdate().colour is None


def test_the_json_schema_of_an_update_says_optional_but_not_null():
    shown = ThingUpdate.model_json_schema()
    assert shown["title"] == "ThingUpdate"
    assert shown["description"] == "What a thing is made of."
    assert "required" not in shown
    assert shown["additionalProperties"] is False
    properties = shown["properties"]
    assert properties["name"] == {
        "description": "What it is called.",
        "examples": ["lamp"],
        "maxLength": 8,
        "title": "Name",
        "type": "string",
    }
    assert properties["status"] == {"title": "Status", "type": "string", "x-order": 1}
    assert properties["text"]["anyOf"] == [{"type": "string"}, {"type": "null"}]
    assert properties["facts"]["x"] == 2
    assert not any("default" in shown for shown in properties.values())
    colour = PartUpdate.model_json_schema()["$defs"]["PartUpdate"]["properties"]
    assert colour["colour"]["description"] == "Its colour."
    assert colour["parts"]["x"] == 1


class Model(Base):
    __abstract__ = True
    metadata = MetaData()


class Owner(Model):
    __tablename__ = "owners"
    id: Mapped[int] = mapped_column(primary_key=True)
    facts: Mapped[dict[str, Any]]
    pets: Mapped[list[Pet]] = relationship(lazy="raise")


class Pet(Model):
    __tablename__ = "pets"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("owners.id"))
    tags: Mapped[list[Any]] = mapped_column(default=list)


class PetRead(Schema):
    id: int
    tags: list[Any]


class OwnerRead(Schema):
    id: int
    facts: dict[str, Any]


class OwnerWithPets(OwnerRead):
    pets: list[PetRead]


async def test_what_is_read_is_a_copy_and_loads_nothing_by_itself():
    async with DatabaseEngine(":memory:", metadata=Model.metadata) as engine:
        await engine.create_all()
        async with engine.transaction() as session:
            session.add(Owner(facts={"a": {"b": []}}, pets=[Pet(tags=[{}])]))
        async with engine.transaction() as session:
            owner = await session.get_one(Owner, 1)
            owner.facts["a"]["b"]
            read = OwnerRead.model_validate(owner)
            assert read == OwnerRead(id=1, facts={"a": {"b": []}})
            read.facts["a"]["b"].append(1)
            with pytest.raises(InvalidDataError, match=r"pets: .*was not loaded"):
                OwnerWithPets.model_validate(owner)
            statement = select(Owner).options(selectinload(Owner.pets))
            statement = statement.execution_options(populate_existing=True)
            owner = (await session.scalars(statement)).one()
            read = OwnerWithPets.model_validate(owner)
            read.pets[0].tags[0]["new"] = 1
            assert not session.dirty
        assert owner.facts == {"a": {"b": []}}
        assert owner.pets[0].tags == [{}]


def test_a_schema_is_taken_as_it_is():
    part = Part(colour="red")
    assert Part.model_validate(part) is part
