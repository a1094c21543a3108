"""The simulated university: feeds over real protocols, with known truth and faults on demand.

World says who is there, systems what each of them does and delivers, plan when it comes, servers deliver it, and truth
says what the marts must then hold. `oulad` delivers real tables instead. No production code imports from here.
"""
