"""The simulated university: feeds over real protocols, with known truth and faults on demand.

World and activity say what happened, feeds and plan what is delivered and when, servers and vle deliver it, and truth
says what the marts must then hold. `oulad` delivers real tables instead. No production code imports from here.
"""
