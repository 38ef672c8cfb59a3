"""
How a repository writes one record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import inspect
from sqlalchemy.exc import StatementError
from sqlalchemy.orm.attributes import set_committed_value

from project_architect_db.errors import (
    ConstraintError,
    DuplicateError,
    InvalidDataError,
    InvalidValueError,
    StaleRecordError,
)
from project_architect_db.orm.bulk_checks import id_of
from project_architect_db.orm.bulk_errors import duplicate
from project_architect_db.orm.column_schemas import unbindable
from project_architect_db.orm.eager import complete
from project_architect_db.orm.repository_base import RecordAccess
from project_architect_db.orm.staleness import flush_others
from project_architect_db.orm.validators import made_of, set_attribute

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.ext.asyncio import AsyncConnection

ModelT = TypeVar("ModelT")


class RecordWriting(RecordAccess[ModelT]):
    """
    Records that are added and changed as objects of the session.
    """

    async def _create(self, values: dict[str, Any]) -> ModelT:
        await flush_others(self.session)
        fields = self._fields
        key = {name: values.get(name) for name in fields.key}
        identity = inspect(self.model).identity_key_from_primary_key([*key.values()])
        if identity in self.session.sync_session.identity_map:
            # Seen before by this session, even if not from here: SQLAlchemy would warn.
            named = ", ".join(f"{name}: {value}" for name, value in key.items())
            error = DuplicateError(f"there is a {self._name} with {named}", key=named)
            self._explain(error, key)
            raise error
        await self._require_json(values)
        record: ModelT = made_of(fields, values)
        self.session.add(record)
        await self._flush(values)
        unloaded = inspect(record).unloaded
        made = [n for n in (*fields.columns, *fields.computed) if n in unloaded]
        if made:  # by the database
            await self.session.refresh(record, made)
        await complete(self.session, record)
        return record

    async def _change(
        self, record: ModelT, changes: Mapping[str, Any], expected: Any = None
    ) -> ModelT:
        fields = self._fields
        version = fields.version
        if version is not None and version in changes:
            expected = self._one_version(changes[version], expected)
        self._require_version(record, expected)
        await self._require_json(changes)
        before = dict(inspect(record).dict)
        done: list[str] = []
        try:
            for name, value in changes.items():
                if name != version:
                    set_attribute(fields, record, (name, value))
                    done.append(name)
        except InvalidDataError:
            for name in before.keys() & {*done}:
                set_committed_value(record, name, before[name])
            raise
        await self._flush(changes)
        return record

    def _one_version(self, given: Any, expected: Any) -> Any:
        if expected is not None and self._fields.version_of(expected) != given:
            raise InvalidDataError(
                f"the data says version {given!r}, expected_version {expected!r}",
                model=self._name, field=str(self._fields.version), value=given,
            )  # fmt: skip
        return given

    def _require_version(self, record: ModelT, expected: Any) -> None:
        if expected is None:
            return
        name = self._fields.version
        if name is None:
            raise InvalidDataError(
                "it has no version to compare; give the model the VersionMixin",
                model=self._name, field="expected_version", value=expected,
            )  # fmt: skip
        expected = self._fields.version_of(expected)
        if (found := getattr(record, name)) != expected:
            raise self._stale(inspect(record).identity, expected, found)

    def _stale(self, key: Any, expected: Any, found: Any) -> StaleRecordError:
        return StaleRecordError(
            model=self._name, id=id_of(key), expected=expected, found=found
        )

    async def _require_json(self, values: Mapping[str, Any]) -> None:
        """
        Raise if JSON cannot be written, while the transaction can still go on.
        """
        json = self._fields.json & values.keys()
        if json:
            await self._refuse_unbindable({name: values[name] for name in json}, None)

    async def _refuse_unbindable(
        self, values: Mapping[str, Any], cause: Exception | None
    ) -> None:
        bind = self.session.bind or await self._connection()
        columns = {name: self._fields.columns[name] for name in values}
        found = unbindable(columns, [values], bind.dialect)
        if found is not None:
            _, name, problem = found
            raise InvalidDataError(
                str(problem), model=self._name, field=name, value=values[name]
            ) from (cause or problem)

    async def _connection(self) -> AsyncConnection:
        return await self.session.connection(bind_arguments={"mapper": self.model})

    async def _flush(self, values: Mapping[str, Any]) -> None:
        try:
            await self.session.flush()
        except (StatementError, InvalidValueError) as error:
            await self._refuse_unbindable(values, error)
            raise
        except ConstraintError as error:
            error.model = self._name
            if isinstance(error, DuplicateError):
                self._explain(error, values)
            raise

    def _explain(self, error: DuplicateError, values: Mapping[str, Any]) -> None:
        error.model = self._name
        found = duplicate(self._fields, [dict(values)], error.key or "")
        error.field = None if found is None else found[1]
        if self._softly_deleted is not None:
            hint = (
                "if no record is to be seen that has it, it was softly deleted: "
                "restore() brings it back, purge() makes room"
            )
            error.args = (f"{error}; {hint}",)
