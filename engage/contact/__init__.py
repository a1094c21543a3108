"""From a number to somebody who calls: notifications, exemptions, alert rules, cases, ladders and letters.

`evaluation` has the order of it all. How messages travel (outbox, mail, crm) is not here: owners of sources are told by
the same means.
"""
