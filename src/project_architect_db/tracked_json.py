"""
JSON values that notice when they are changed in place.

What a JSON attribute of a model gives is tracked: a change inside, however deep, marks
the attribute as modified, so that the next flush writes it. (What was assigned to it is
not: go on with ``user.settings``, not with the dict you put there.) Tracked values are
made when they are read, not when a row is loaded: an object holds plain ones until
somebody looks, and loading costs nothing. Code that fills objects by hand puts plain
values into them, and is done.

Functions in C that write straight into a list, such as those of `heapq`, go unnoticed.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, SupportsIndex

from sqlalchemy import JSON, event
from sqlalchemy.ext.mutable import MutableBase
from sqlalchemy.orm import NO_VALUE, ColumnProperty, InstrumentedAttribute
from sqlalchemy.orm.attributes import flag_modified, instance_state
from sqlalchemy.types import TypeDecorator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sqlalchemy.orm import InstanceState

_CONTAINERS: Final = (dict, list)
_SCALARS: Final = frozenset({str, int, bool, type(None)})


def track_json(base: type) -> None:
    """
    Have the JSON attributes of all models below this class tracked.

    To be called before the first of them is defined.
    """
    event.listen(base, "attribute_instrument", _instrument, propagate=True)


def plain(value: Any) -> Any:
    """
    A deep copy of a JSON value in plain dicts and lists.
    """
    if isinstance(value, dict):
        return {key: plain(child) for key, child in dict.items(value)}
    if isinstance(value, list):
        return [plain(child) for child in list.__iter__(value)]
    return value


def _instrument(_: type, __: str, attribute: Any) -> None:
    prop = attribute.property
    if isinstance(prop, ColumnProperty):
        kind = prop.columns[0].type
        if isinstance(kind, TypeDecorator):
            kind = kind.impl_instance
        if isinstance(kind, JSON):
            attribute.__class__ = _TrackedAttribute
            # with the key, SQLAlchemy calls the listener without a wrapper around it
            event.listen(
                attribute, "set", _on_set, raw=True, retval=True, include_key=True
            )


def _on_set(state: InstanceState[Any], value: Any, _: Any, token: Any) -> Any:
    # What belongs to another attribute, or another object, is copied.
    if type(value) in _TRACKED and _is_of(value, state.obj(), token.key):
        return value
    return _adoptable(value, None)


class _TrackedAttribute(InstrumentedAttribute[Any]):
    __slots__ = ()
    __doc__ = InstrumentedAttribute.__dict__["__doc__"]  # the column's own, as there
    inherit_cache = True

    def __get__(self, instance: Any, owner: Any) -> Any:
        value: Any = super().__get__(instance, owner)
        if not isinstance(value, _CONTAINERS):
            return value
        if type(value) in _TRACKED:
            if _is_of(value, instance, self.key):
                return value
        elif isinstance(value, MutableBase):  # SQLAlchemy's MutableDict and its like
            return value
        new = _copy(value)
        new.root, new.owner, new.key = new, instance, self.key
        instance.__dict__[self.key] = new
        return new


class _Tracked:
    """
    What dicts and lists have in common.

    The outermost one keeps its object alive, else the object would be gone before the
    change is made in ``(await session.get_one(User, 1)).settings["theme"] = "dark"``.
    """

    __slots__ = ()

    root: Any  # the outermost value, which alone has the other two
    owner: Any
    key: str

    def __new__(cls, *args: Any, **items: Any) -> Any:
        # Only an attribute makes tracked ones.
        return (dict if issubclass(cls, dict) else list)(*args, **items)

    def __reduce_ex__(self, _: SupportsIndex) -> tuple[Any, ...]:
        return dict if isinstance(self, dict) else list, (plain(self),)

    def _child(self, value: Any) -> Any:
        if type(value) in _TRACKED and value.root is self.root:
            return value
        child = _copy(value)
        child.root = self.root
        return child

    def __getitem__(self, place: Any) -> Any:
        this: Any = self
        if isinstance(place, slice):
            return [*this][place]
        container: Any = super()
        value = container.__getitem__(place)
        if isinstance(value, _CONTAINERS):
            value = self._child(value)
            container.__setitem__(place, value)
        return value

    def _track(self) -> None:
        this: Any = self
        kind: Any = dict if isinstance(self, dict) else list
        inside = dict.items(this) if kind is dict else enumerate(list.__iter__(this))
        for place, value in inside:
            if isinstance(value, _CONTAINERS):
                kind.__setitem__(this, place, self._child(value))

    def _changed(self) -> None:
        root = self.root
        instance, key = root.owner, root.key
        if instance.__dict__.get(key) is root:
            flag_modified(instance, key)
            return
        committed = instance_state(instance).committed_state
        if committed.get(key) is root:
            # Replaced, and not flushed yet. It is not what the database has any more,
            # so that nothing may be compared with it, not even itself.
            committed[key] = NO_VALUE


def _is_of(value: Any, instance: Any, key: str) -> bool:
    return value.root is value and value.owner is instance and value.key == key


def _copy(value: Any) -> Any:
    new: Any
    if isinstance(value, dict):
        new = dict.__new__(_TrackedDict)
        dict.update(new, value)
    else:
        new = list.__new__(_TrackedList)
        list.extend(new, value)
    return new


def _adoptable(value: Any, root: Any) -> Any:
    # The value without what is tracked for another root.
    if type(value) in _TRACKED:
        return value if value.root is root else plain(value)
    if isinstance(value, dict):
        if not _TRACKED.isdisjoint(map(type, value.values())):
            return {key: _adoptable(child, root) for key, child in value.items()}
    elif isinstance(value, list) and not _TRACKED.isdisjoint(map(type, value)):
        return [_adoptable(child, root) for child in value]
    return value


def _reading(method: Callable[..., Any]) -> Any:
    # A method that hands out everything inside, so all of it is tracked first.
    @functools.wraps(method)
    def call(self: Any) -> Any:
        self._track()
        return method(self)

    return call


def _changing(method: Callable[..., Any], *, same_length: bool = False) -> Any:
    # A method that changed nothing where the length is what it was, unless it says so.
    @functools.wraps(method)
    def call(self: Any, *args: Any, **options: Any) -> Any:
        before = len(self)
        result = method(self, *args, **options)
        if same_length or len(self) != before:
            self._changed()
        return result

    return call


class _TrackedDict(_Tracked, dict[Any, Any]):
    __slots__ = ("key", "owner", "root")

    def get(self, key: Any, default: Any = None, /) -> Any:
        return self[key] if key in self else default  # noqa: SIM401 - this is get

    def __iter__(self) -> Iterator[Any]:
        # Having this in Python makes `dict(…)` and `**` look the values up by `[]`.
        return super().__iter__()

    items = _reading(dict.items)
    values = _reading(dict.values)

    def __setitem__(self, key: Any, value: Any) -> None:
        if type(value) in _SCALARS:
            old = super().get(key, self)
            if type(old) is type(value) and old == value:
                return
        super().__setitem__(key, _adoptable(value, self.root))
        self._changed()

    def setdefault(self, key: Any, default: Any = None, /) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, *args: Any, **items: Any) -> None:
        for key, value in dict(*args, **items).items():
            self[key] = value

    def __ior__(self, other: Any) -> Any:  # type: ignore[misc] # as dict has it
        self.update(other)
        return self

    __delitem__ = _changing(dict.__delitem__)
    clear = _changing(dict.clear)
    pop = _changing(dict.pop)
    popitem = _changing(dict.popitem)
    __copy__ = dict.copy


class _TrackedList(_Tracked, list[Any]):
    __slots__ = ("key", "owner", "root")

    __iter__ = _reading(list.__iter__)
    __reversed__ = _reading(list.__reversed__)
    copy = __copy__ = _reading(list.copy)

    def __add__(self, other: Any) -> Any:
        return [*self, *other] if isinstance(other, list) else NotImplemented

    def __radd__(self, other: Any) -> Any:
        return [*other, *self]

    def __mul__(self, times: SupportsIndex) -> list[Any]:
        return [*self] * times

    __rmul__ = __mul__

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(index, slice):
            value = [_adoptable(child, self.root) for child in value]
        else:
            value = _adoptable(value, self.root)
        super().__setitem__(index, value)
        self._changed()

    def append(self, value: Any) -> None:
        self.insert(len(self), value)

    def insert(self, index: SupportsIndex, value: Any) -> None:
        super().insert(index, _adoptable(value, self.root))
        self._changed()

    def extend(self, values: Iterable[Any]) -> None:
        self += values

    def __iadd__(self, values: Iterable[Any]) -> Any:  # type: ignore[misc] # as in list
        new = [_adoptable(value, self.root) for value in values]
        if new:
            super().extend(new)
            self._changed()
        return self

    __delitem__ = _changing(list.__delitem__)
    __imul__ = _changing(list.__imul__)
    clear = _changing(list.clear)
    pop = _changing(list.pop)
    remove = _changing(list.remove)
    reverse = _changing(list.reverse, same_length=True)
    sort = _changing(list.sort, same_length=True)


_TRACKED: Final = frozenset({_TrackedDict, _TrackedList})
