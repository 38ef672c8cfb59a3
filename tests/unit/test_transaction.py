"""
The transaction of a connection, where an interrupt comes late.
"""

from __future__ import annotations

import duckdb

from project_architect_db.dialect.database import Database
from project_architect_db.dialect.transaction import Request, Transaction


class InterruptedLate(Transaction):
    """
    One whose first ROLLBACK meets an interrupt that was meant for its statement.

    DuckDB takes an interrupt that comes between two statements for one of the next, but
    when that is cannot be told from outside.
    """

    interrupts = 1

    def _control(self, duck, sql):
        if sql == "ROLLBACK" and self.interrupts:
            self.interrupts -= 1
            raise duckdb.InterruptException("INTERRUPT Error: Interrupted!")
        super()._control(duck, sql)


def test_a_late_interrupt_leaves_no_transaction_open():
    transaction = InterruptedLate(Database(":memory:"))
    transaction.connect({})
    transaction.run(Request("SELECT 42"))
    transaction.rollback()
    assert (False, 0) == (transaction.begun, transaction.interrupts)
    assert [(43,)] == transaction.run(Request("SELECT 43")).rows
    transaction.disconnect()
