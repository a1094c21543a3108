"""Who may read what: the roles of the warehouse, what each may do, and who was granted which of them.

`rules` says as data what should be, `state` finds and mends what is not so, `grants` is what people decide. Rows of the
marts are kept apart by policies that dbt makes (dbt_project/macros/row_level_security.sql); logins are made by whoever
administers the database.
"""

from engage.access.state import Difference, apply, audit, shut

__all__ = ["Difference", "apply", "audit", "shut"]
