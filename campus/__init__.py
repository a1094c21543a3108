"""The simulated university: feeds over real protocols, with known truth and faults on demand.

Nothing that runs in production imports it, and it imports nothing of ours. World and activity say what happened,
feeds and plan say what is delivered and when, servers and vle deliver it, truth says what the marts must then hold.
"""
